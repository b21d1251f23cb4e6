/** Makes planned faults happen, each with its end; resolves when what it broke is whole again. */
import { setTimeout as sleep } from "node:timers/promises";
import type { History } from "../support/history.ts";
import { waitFor } from "../support/proc.ts";
import type { Random } from "../support/random.ts";
import type { Client } from "./clients.ts";
import type { Instance } from "./instances.ts";
import type { Link } from "./link.ts";
import type { Owners } from "./owners.ts";
import type { Fault } from "./schedule.ts";
import { staleOwner } from "./stale-owner.ts";
import type { World } from "./world.ts";

export interface Stage {
	readonly world: World;
	readonly instances: readonly Instance[];
	/** Of each instance. */
	readonly links: readonly (readonly Link[])[];
	readonly clients: readonly Client[];
	readonly history: History;
	readonly namespaces: readonly string[];
	readonly topic: string;
	readonly random: Random;
	readonly owners: Owners;
	/** One trouble of the brokers after another: what replaces one that failed must not fail before it stands. */
	inTurn(trouble: () => Promise<void>): Promise<void>;
}

const MANGLING = { lose: 0.1, repeat: 0.1, delay: 0.1, maxDelayMs: 400 } as const;
const UP_DEADLINE_MS = 60_000;

export async function perform(fault: Fault, stage: Stage): Promise<void> {
	if (fault.kind === "cut-clients") {
		for (const client of stage.clients) client.cut();
		return;
	}
	if (fault.kind === "lane-dead") stage.history.mayTell();
	if (fault.kind === "kill-broker" || fault.kind === "lane-dead") {
		return stage.inTurn(() => killBroker(fault.forMs, stage));
	}
	if (fault.kind === "freeze-broker") return stage.inTurn(() => freezeBroker(fault.forMs, stage));
	const instance = stage.instances[fault.instance] as Instance;
	const links = stage.links[fault.instance] as readonly Link[];
	const during = async (begin: (link: Link) => void, end: (link: Link) => void) => {
		links.forEach(begin);
		await sleep(fault.forMs);
		links.forEach(end);
	};
	switch (fault.kind) {
		case "kill-instance":
			await instance.kill();
			await sleep(fault.forMs);
			return instance.start();
		case "freeze-instance":
			await instance.freeze();
			await sleep(fault.forMs);
			instance.thaw();
			return;
		case "refuse":
			return during(
				(link) => {
					link.refusing = true;
					link.cut();
				},
				(link) => {
					link.refusing = false;
				},
			);
		case "hold":
			return during(
				(link) => link.hold(true),
				(link) => link.hold(false),
			);
		case "slow":
			return during(
				(link) => {
					link.delayMs = fault.delayMs;
				},
				(link) => {
					link.delayMs = 0;
				},
			);
		case "mangle":
			return during(
				(link) => {
					link.mangling = MANGLING;
				},
				(link) => {
					link.mangling = undefined;
				},
			);
		case "redials":
			for (const link of links) link.cut(fault.refusals);
			return;
		case "stale-owner":
			return staleOwner(instance, fault.forMs, stage);
		case "next-version":
			return publishNextVersion(instance, stage);
	}
}

async function killBroker(forMs: number, { world, random, history }: Stage): Promise<void> {
	const broker = await world.leader(random);
	const over = world.mayLose ? history.mayLose() : undefined;
	await broker.kill();
	if (world.forgets) history.lost();
	await sleep(forMs);
	await broker.start();
	await world.settled?.();
	over?.();
}

async function freezeBroker(forMs: number, { world, random, history }: Stage): Promise<void> {
	const broker = await world.leader(random);
	// Who was replaced meanwhile still takes writes for a moment, and forgets them.
	const over = world.mayLose ? history.mayLose() : undefined;
	await broker.freeze();
	await sleep(forMs);
	broker.thaw();
	await world.settled?.();
	over?.();
}

async function publishNextVersion(instance: Instance, { history, namespaces, topic, random }: Stage): Promise<void> {
	const namespace = random.pick(namespaces);
	await waitFor(`${instance.name} is up`, async () => instance.isUp(), { deadlineMs: UP_DEADLINE_MS });
	const refused = history.unreadable(namespace, `topic:${topic}`);
	const { ok } = await instance.ask({ do: "next-version", namespace, topic });
	if (!ok) refused();
}
