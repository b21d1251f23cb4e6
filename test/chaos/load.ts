/** Publishes through whichever instances are up, at a steady rate, and keeps the books of what each caller was told. */
import { setTimeout as sleep } from "node:timers/promises";
import type { History } from "../support/history.ts";
import type { Random } from "../support/random.ts";
import type { Target } from "./instance.ts";
import type { Instance, Verdict } from "./instances.ts";

export interface LoadOptions {
	readonly instances: readonly Instance[];
	readonly history: History;
	readonly random: Random;
	readonly namespaces: readonly string[];
	/** Where the next message goes. */
	target(): Target;
	readonly perSecond: number;
	/** Messages without an answer, over all instances; more wait. */
	readonly maxInFlight: number;
	/** For figures. */
	sent?(id: string, namespace: string, to: Target): void;
	answered?(id: string, verdict: Verdict): void;
}

export interface Load {
	readonly counts: Readonly<Record<Verdict, number>>;
	/** Resolves when everything was answered. */
	stop(): Promise<void>;
}

const TICK_MS = 20;

export function channelName({ session, topic }: Target): string {
	return session === undefined ? `topic:${topic}` : `session:${session}`;
}

export function startLoad(options: LoadOptions): Load {
	const { instances, history, random, namespaces, perSecond, maxInFlight } = options;
	const counts: Record<Verdict, number> = { accepted: 0, uncertain: 0, certain: 0 };
	const inFlight = new Set<Promise<void>>();
	let isOver = false;
	let n = 0;

	async function send(instance: Instance): Promise<void> {
		n += 1;
		const publisher = instance.incarnation;
		const id = `${publisher}/${n}`;
		const namespace = random.pick(namespaces);
		const to = options.target();
		history.sent({ id, namespace, channel: channelName(to), publisher });
		options.sent?.(id, namespace, to);
		const { verdict, home } = await instance.publish(namespace, to, id);
		if (home !== undefined) history.homed(id, home);
		counts[verdict] += 1;
		if (verdict !== "accepted") history.refused(id, verdict);
		options.answered?.(id, verdict);
	}

	async function run(): Promise<void> {
		const from = performance.now();
		let due = 0;
		while (!isOver) {
			const target = ((performance.now() - from) * perSecond) / 1_000;
			// What could not be sent in time is not made up for: a burst after a fault would be another test.
			due = Math.max(due, target - perSecond / 10);
			while (due < target && !isOver) {
				due += 1;
				const up = instances.filter((instance) => instance.isUp());
				if (up.length === 0 || inFlight.size >= maxInFlight) break;
				const sent = send(random.pick(up));
				inFlight.add(sent);
				sent.finally(() => inFlight.delete(sent));
			}
			await sleep(TICK_MS);
		}
		await Promise.all(inFlight);
	}

	const done = run();
	return {
		counts,
		async stop() {
			isOver = true;
			await done;
		},
	};
}
