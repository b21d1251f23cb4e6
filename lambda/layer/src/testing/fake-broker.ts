/**
 * A scriptable broker in memory: logs that any number of fake transports share, and faults on demand. It does to a
 * transport's traffic what real brokers did when measured: live entries lost, repeated, delayed and reordered; reads
 * from a replica that is behind; requests that fail; logs truncated, or reset under a new epoch, or cut at their end.
 */
import type { Channel } from "../core/channel.ts";
import { type Envelope, encodeEnvelope, envelopeBytes } from "../core/envelope.ts";
import { BEGINNING, epochOf, type Position } from "../core/position.ts";
import type { Entry, Page, Subscriber } from "../core/transport.ts";

export interface Faults {
	/** Probabilities in [0, 1], drawn for each entry and subscriber, or for each request. */
	lose: number;
	repeat: number;
	delay: number;
	/** A read sees the log as it was this many entries ago. */
	stale: number;
	readFails: number;
	endsFails: number;
	/** A publish is refused for now; or fails after the log took the batch, or a part of it. */
	refuse: number;
	uncertain: number;
	partial: number;
}

export const NO_FAULTS: Faults = {
	lose: 0,
	repeat: 0,
	delay: 0,
	stale: 0,
	readFails: 0,
	endsFails: 0,
	refuse: 0,
	uncertain: 0,
	partial: 0,
};

export interface FakeLog {
	epoch: string;
	/** Offset of the entry before the first that is kept. */
	base: number;
	entries: Entry[];
	readonly ids: Map<string, Position>;
}

/** Encoded bytes of a page, unless its first entry alone is more. */
const PAGE_BYTES = 256 * 1024;

function cut(found: readonly Entry[], limit: number): Pick<Page, "entries" | "more"> {
	let bytes = 0;
	const end = found.findIndex(({ envelope }, index) => {
		bytes += envelope === undefined ? 0 : envelopeBytes(envelope);
		return index >= limit || (index > 0 && bytes > PAGE_BYTES);
	});
	return { entries: found.slice(0, end < 0 ? found.length : end), more: end >= 0 };
}

export class FakeBroker {
	readonly faults: Faults = { ...NO_FAULTS };
	readonly random: () => number;
	readonly #logs = new Map<string, FakeLog>();
	readonly #subscribers = new Map<string, Set<Subscriber>>();
	readonly #later: (() => void)[] = [];

	readonly #eager: boolean;

	/**
	 * `random` is uniform in [0, 1) and seeded by the test. Logs begin with their first entry, as on AWS, where only
	 * time takes them away; or, eager, with the first question about them, as where an epoch spans a whole partition.
	 */
	constructor(random: () => number, options: { readonly eager?: boolean } = {}) {
		this.random = random;
		this.#eager = options.eager ?? false;
	}

	chance(probability: number): boolean {
		return probability > 0 && this.random() < probability;
	}

	log(channel: Channel): FakeLog | undefined {
		const log = this.#logs.get(channel.key);
		return log === undefined && this.#eager ? this.#begin(channel) : log;
	}

	/** Appends unless the id is held; returns where it stands. */
	append(envelope: Envelope): { readonly position: Position; readonly duplicate: boolean } {
		const { channel } = envelope;
		const log = this.log(channel) ?? this.#begin(channel);
		const held = log.ids.get(envelope.id);
		if (held !== undefined) return { position: held, duplicate: true };
		encodeEnvelope(envelope);
		const end = this.#end(log);
		const entry: Entry = { position: { epoch: log.epoch, offset: end.offset + 1 }, prev: end, envelope };
		log.entries.push(entry);
		log.ids.set(envelope.id, entry.position);
		for (const subscriber of this.#subscribers.get(channel.key) ?? []) this.#hand(subscriber, entry);
		return { position: entry.position, duplicate: false };
	}

	subscribe(channel: Channel, subscriber: Subscriber): () => void {
		const set = this.#subscribers.get(channel.key) ?? new Set();
		this.#subscribers.set(channel.key, set.add(subscriber));
		return () => set.delete(subscriber);
	}

	read(channel: Channel, from: Position | { readonly sinceMs: number }, limit: number): Page {
		const log = this.log(channel);
		if (log === undefined) {
			return { channel, entries: [], more: false, verdict: "offset" in from && from.offset > 0 ? "epoch" : "whole" };
		}
		const visible = this.chance(this.faults.stale)
			? log.entries.slice(0, -1 - Math.floor(this.random() * 3))
			: log.entries;
		if (!("offset" in from)) {
			const found = visible.filter(({ envelope }) => (envelope?.publishedAt ?? 0) >= from.sinceMs);
			return { channel, ...cut(found, limit), verdict: "whole" };
		}
		const foreign =
			from.epoch !== log.epoch && from !== BEGINNING && !(from.offset === 0 && from.epoch === BEGINNING.epoch);
		const after = foreign ? 0 : from.offset;
		const found = visible.filter(({ position }) => position.offset > after);
		const verdict = foreign ? "epoch" : after < log.base ? "retention" : "whole";
		return { channel, ...cut(found, limit), verdict };
	}

	endOf(channel: Channel): Position {
		const log = this.log(channel);
		return log === undefined ? BEGINNING : this.#end(log);
	}

	// The script.

	/** Retention: drops the oldest entries. */
	truncate(channel: Channel, count: number): void {
		const log = this.#logs.get(channel.key);
		if (log === undefined) return;
		log.base = log.entries.splice(0, count).at(-1)?.position.offset ?? log.base;
	}

	/** The log lost its past: empty, with a new epoch. */
	reset(channel: Channel): void {
		const log = this.#logs.get(channel.key);
		if (log === undefined) return;
		log.epoch = this.#epoch();
		log.base = 0;
		log.entries = [];
		log.ids.clear();
	}

	/** Hands over what was delayed, in random order. */
	deliverDelayed(): void {
		for (const task of this.#later.splice(0).sort(() => this.random() - 0.5)) task();
	}

	/** Every subscriber is told that something may be missing, as after a reconnect. */
	nudge(channel: Channel): void {
		for (const subscriber of this.#subscribers.get(channel.key) ?? []) subscriber.suspect();
	}

	/** The lane cannot be followed any longer, as after a session moved: nothing more is handed over. */
	end(channel: Channel, reason: "moved" | "expired" | "gap"): void {
		const subscribers = [...(this.#subscribers.get(channel.key) ?? [])];
		this.#subscribers.delete(channel.key);
		for (const subscriber of subscribers) subscriber.ended(reason);
	}

	get subscriptions(): number {
		return [...this.#subscribers.values()].reduce((sum, set) => sum + set.size, 0);
	}

	#hand(subscriber: Subscriber, entry: Entry): void {
		if (this.chance(this.faults.lose)) return;
		if (this.chance(this.faults.delay)) this.#later.push(() => subscriber.entry(entry));
		else subscriber.entry(entry);
		if (this.chance(this.faults.repeat)) this.#later.push(() => subscriber.entry(entry));
	}

	#end(log: FakeLog): Position {
		return { epoch: log.epoch, offset: log.entries.at(-1)?.position.offset ?? log.base };
	}

	#begin(channel: Channel): FakeLog {
		const log: FakeLog = { epoch: this.#epoch(), base: 0, entries: [], ids: new Map() };
		this.#logs.set(channel.key, log);
		return log;
	}

	#epoch(): string {
		return epochOf(Math.floor(this.random() * 2 ** 32));
	}
}
