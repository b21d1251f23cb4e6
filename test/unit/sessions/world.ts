/**
 * A fleet on one simulated store: every node has clocks of its own (another rate, another day), can be paused with
 * its answers and timers, put to sleep (monotonic time stands still), cut off, and crashed. The store's side judges
 * every accepted write by its history, and looks at who acts at that very moment.
 */
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Clock } from "../../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createMemoryStore } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { createOwner, type Owner } from "../../../lambda/layer/src/sessions/owner.ts";
import type { Registry } from "../../../lambda/layer/src/sessions/port.ts";
import { decodeSession, type SessionRecord } from "../../../lambda/layer/src/sessions/record.ts";
import { createRegistry } from "../../../lambda/layer/src/sessions/registry.ts";
import type { Row, Store } from "../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";
import { createRandom, type Random } from "../../support/random.ts";

export const LEASE_MS = 1_000;
const TIMEOUT_MS = 400;

export interface Node {
	readonly name: string;
	readonly owner: Owner;
	readonly registry: Registry;
	readonly clock: NodeClock;
	cut: boolean;
	crashed: boolean;
}

export interface NodeClock extends Clock {
	pause(asleep: boolean): void;
	resume(): void;
	jump(ms: number): void;
	readonly paused: boolean;
	/** Runs now, or when the node runs again. */
	whenAwake(task: () => void): void;
}

function createNodeClock(base: FakeClock, random: Random): NodeClock {
	const rate = 0.95 + random.next() * 0.1;
	let monotonicOffset = random.below(1_000_000);
	let wallOffset = random.below(2 * 86_400_000) - 86_400_000;
	const waiting: (() => void)[] = [];
	let paused = false;
	let asleepSince: number | undefined;
	const elapsed = () => (asleepSince ?? base.monotonic()) * rate;
	const whenAwake = (task: () => void) => {
		if (paused) waiting.push(task);
		else task();
	};
	return {
		monotonic: () => elapsed() + monotonicOffset,
		now: () => 1_800_000_000_000 + base.monotonic() * rate + wallOffset,
		after: (ms, task) => {
			let cancelled = false;
			const timer = base.after(ms / rate, () => whenAwake(() => cancelled || task()));
			return {
				cancel() {
					cancelled = true;
					timer.cancel();
				},
			};
		},
		pause(asleep) {
			paused = true;
			if (asleep) asleepSince ??= base.monotonic();
		},
		resume() {
			paused = false;
			if (asleepSince !== undefined) monotonicOffset -= (base.monotonic() - asleepSince) * rate;
			asleepSince = undefined;
			for (const task of waiting.splice(0)) whenAwake(task);
		},
		jump(ms) {
			wallOffset += ms;
		},
		get paused() {
			return paused;
		},
		whenAwake,
	};
}

export class World {
	readonly base = createFakeClock();
	readonly nodes: Node[] = [];
	readonly violations: string[] = [];
	accepted = 0;
	readonly sessions: readonly Channel[] = ["s0", "s1"].map((id) => createChannel("session", id));
	readonly #store = createMemoryStore({ clock: this.base });
	readonly #random: Random;
	readonly #seed: number;
	/** In [0, 1): how often the network delays, and loses requests and answers. */
	trouble = 0;

	constructor(seed: number) {
		this.#seed = seed;
		this.#random = createRandom(seed);
	}

	async start(name: string): Promise<Node> {
		const clock = createNodeClock(this.base, this.#random);
		const node = { name, clock, cut: false, crashed: false } as { -readonly [Key in keyof Node]: Node[Key] };
		node.registry = createRegistry({
			store: this.#link(node),
			namespace: "default",
			clock,
			ids: createIds(clock, createFill(this.#seed + this.nodes.length)),
			timeoutMs: TIMEOUT_MS,
		});
		node.owner = createOwner({
			registry: node.registry,
			instance: name,
			clock,
			random: this.#random.next,
			leaseMs: LEASE_MS,
		});
		this.nodes.push(node);
		const { trouble } = this;
		this.trouble = 0;
		await this.settle(node.owner.start());
		this.trouble = trouble;
		return node;
	}

	/** Moves time until the work is done; its failure is its own affair. */
	async settle(work: Promise<unknown>): Promise<void> {
		let done = false;
		const end = () => {
			done = true;
		};
		work.then(end, end);
		for (let step = 0; !done && step < 1_000; step += 1) await this.base.advance(10);
	}

	get living(): Node[] {
		return this.nodes.filter(({ crashed }) => !crashed);
	}

	acting(session: Channel): Node[] {
		return this.living.filter(({ owner }) => owner.held(session)?.acting);
	}

	/** Looks at every session now. */
	look(when: string): void {
		for (const session of this.sessions) {
			const names = this.acting(session).map(({ name }) => name);
			if (names.length > 1) this.violations.push(`${when}: ${names.join(" and ")} act for ${session.id}`);
		}
	}

	async advance(ms: number): Promise<void> {
		for (let passed = 0; passed < ms; passed += 25) {
			await this.base.advance(25);
			this.look(`at ${this.base.monotonic()} ms`);
		}
	}

	#judge(by: Node, place: Channel, before: Row | undefined, after: Row | undefined): void {
		if (place.kind !== "session") return;
		this.accepted += 1;
		const read = (row: Row | undefined): SessionRecord | undefined => row && decodeSession(row.text, row.version);
		const [old, now] = [read(before), read(after)];
		const say = (what: string) => this.violations.push(`${by.name} ${what} of ${place.id} (epoch ${old?.epoch})`);
		const owns = old?.owner?.instance === by.name;
		if (now === undefined || now.owner === undefined) {
			if (!owns) say("released or removed a stranger's record");
		} else if (now.epoch === old?.epoch) {
			if (!owns || now.owner.id !== old.owner?.id) say("wrote over a stranger's record");
		} else {
			if (now.epoch !== (old?.epoch ?? 0) + 1 || now.owner.instance !== by.name) say("made a wrong claim");
			for (const other of this.acting(place)) {
				if (other.owner.held(place)?.epoch !== now.epoch && other.name !== by.name) say(`claimed beside ${other.name}`);
			}
		}
	}

	/** The store as a node sees it: through a network. */
	#link(node: Node): Store {
		const store = this.#store;
		const send = async <T>(work: () => Promise<T>): Promise<T> => {
			await this.#travel(node);
			const answer = await work();
			await this.#travel(node);
			return new Promise((resolve) => node.clock.whenAwake(() => resolve(answer)));
		};
		const signal = new AbortController().signal;
		return {
			...store,
			read: (place) => send(() => store.read(place, signal)),
			write: (place, row, expected) =>
				send(async () => {
					// Begun together: the store in memory works at once, so that nothing comes between the two.
					const look = store.read(place, signal);
					const written = await store.write(place, row, expected, signal);
					const before = await look;
					if (written !== undefined) this.#judge(node, place, before, written);
					return written;
				}),
			remove: (place, expected) =>
				send(async () => {
					const look = store.read(place, signal);
					const removed = await store.remove(place, expected, signal);
					const before = await look;
					if (removed) this.#judge(node, place, before, undefined);
					return removed;
				}),
			close: async () => {},
		};
	}

	async #travel(node: Node): Promise<void> {
		if (node.cut || this.#random.next() < this.trouble / 8) await new Promise(() => {});
		if (this.#random.next() >= this.trouble) return;
		const ms = this.#random.pick([1, 50, 150, 250, 350, 2 * LEASE_MS]);
		await new Promise<void>((resolve) => {
			this.base.after(ms, resolve);
		});
	}
}
