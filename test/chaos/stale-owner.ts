/**
 * An owner held still past its lease: another instance takes its session over, and when it goes on its writes are
 * refused and its stream of the session ends. Ownership by chance goes on beside it all the time.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../support/proc.ts";
import type { Random } from "../support/random.ts";
import type { Instance } from "./instances.ts";
import type { Owners } from "./owners.ts";
import { openSseConnection } from "./sse.ts";

export interface OwningStage {
	readonly instances: readonly Instance[];
	readonly namespaces: readonly string[];
	readonly random: Random;
	readonly owners: Owners;
}

const DEADLINE_MS = 20_000;
const EVERY_MS = 50;
/** How long one instance is waited for before another is asked. */
const ASK_MS = 1_000;
const ACT_EVERY_MS = 40;
const SESSIONS = ["owned-1", "owned-2", "owned-3"] as const;

async function act(instance: Instance, namespace: string, session: string, owners: Owners): Promise<boolean> {
	const accept = owners.begin(`${namespace}/${session}`, instance.incarnation);
	const { ok, epoch } = await instance.ask({ do: "own", namespace, session });
	if (ok && epoch !== undefined) accept(epoch);
	return ok;
}

/** Instances write as owners of a few sessions, whoever can; the returned function ends it. */
export function startOwning({ instances, namespaces, random, owners }: OwningStage): () => void {
	const busy = new Set<Instance>();
	const timer = setInterval(() => {
		const free = instances.filter((instance) => instance.isUp() && !busy.has(instance));
		if (free.length === 0) return;
		const instance = random.pick(free);
		busy.add(instance);
		void act(instance, random.pick(namespaces), random.pick(SESSIONS), owners).finally(() => busy.delete(instance));
	}, ACT_EVERY_MS);
	return () => clearInterval(timer);
}

let count = 0;

export async function staleOwner(instance: Instance, forMs: number, stage: OwningStage): Promise<void> {
	const { instances, owners, random } = stage;
	const namespace = random.pick(stage.namespaces);
	const session = `stale-${++count}`;
	const until = (what: string, look: () => Promise<boolean>) =>
		waitFor(`${session}: ${what}`, look, { deadlineMs: DEADLINE_MS, everyMs: EVERY_MS });
	await until("the instance owns it", async () => instance.isUp() && act(instance, namespace, session, owners));
	const { incarnation } = instance;
	let isOpen = false;
	let end = "";
	const connection = openSseConnection(instance.port, `/events/${namespace}/${session}`, "", {
		event(type, data) {
			isOpen = true;
			if (type === "end") end = data;
		},
		lost: () => {
			end ||= "lost";
		},
	});
	try {
		await until("its stream is open", async () => isOpen || end !== "");
		await instance.freeze();
		const others = () => instances.filter((other) => other !== instance && other.isUp());
		const taken = until("another takes it over", async () => {
			const [other] = others().length === 0 ? [] : [random.pick(others())];
			if (other === undefined) return false;
			// It may be held still itself, by another fault that waits for this instance.
			return Promise.race([act(other, namespace, session, owners), sleep(ASK_MS, false)]);
		});
		await Promise.all([taken, sleep(forMs)]).finally(() => instance.thaw());
		const isSame = () => instance.isUp() && instance.incarnation === incarnation;
		await until("the stale owner is refused", async () => {
			if (!isSame()) return true;
			const { ok, error } = await instance.ask({ do: "stale", namespace, session });
			if (ok) owners.found(`${namespace}/${session}: a write of the stale owner ${incarnation} was accepted`);
			return ok || error === "NotOwner";
		});
		await until("its stream has ended", async () => end !== "").catch(() => {
			owners.found(`${namespace}/${session}: the stale owner ${incarnation} went on streaming`);
		});
	} finally {
		connection.cut();
	}
}
