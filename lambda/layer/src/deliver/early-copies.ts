/**
 * Early copies, and which of them each client stream took, until the home copy passes or their age ends. An outage brings
 * them to all streams of a process: what they are is kept once, and a stream keeps only runs of numbers, of which it has
 * one as long as it takes all that come. Bounded: what finds no room is not taken, since one that is forgotten would be
 * shown again.
 */
import type { Clock } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";

export const DEFAULT_EARLY_COPIES = { count: 100_000, ageMs: 600_000 } as const;

interface Copy {
	/** Of the channel. */
	readonly key: string;
	readonly number: number;
	/** Of the one before it on the same channel; less than any when there is none. */
	readonly before: number;
	readonly at: number;
	/** Streams that took it and have yet to pass its home copy, or were closed before. */
	holders: number;
}

let lastNamed: Envelope | undefined;
let lastName = "";

/** Who names envelopes may give one id on several channels. One text for all streams that take an envelope in a row. */
function nameOf(envelope: Envelope): string {
	if (envelope !== lastNamed) {
		lastNamed = envelope;
		lastName = `${envelope.channel.key} ${envelope.id}`;
	}
	return lastName;
}

/** Of all client streams of a process. */
export class EarlyCopies {
	readonly #clock: Clock;
	/** How late a home copy may be; read at each use. */
	readonly #ageMs: () => number | undefined;
	readonly #count: number;
	/** Insertion order is age order. */
	readonly #copies = new Map<string, Copy>();
	/** The newest number, by channel, while that one is kept. */
	readonly #newest = new Map<string, number>();
	#next = 0;
	#gone = -1;
	#forgetAt = Number.NEGATIVE_INFINITY;

	constructor(clock: Clock, ageMs = (): number | undefined => undefined, count: number = DEFAULT_EARLY_COPIES.count) {
		this.#clock = clock;
		this.#ageMs = ageMs;
		this.#count = count;
	}

	find(envelope: Envelope): Copy | undefined {
		this.#forget();
		return this.#copies.get(nameOf(envelope));
	}

	hasRoom(envelope: Envelope): boolean {
		return this.find(envelope) !== undefined || this.#copies.size < this.#count;
	}

	/** A stream takes it; undefined when there is no room. */
	enter(envelope: Envelope): Copy | undefined {
		const copy = this.find(envelope) ?? this.#add(envelope);
		if (copy !== undefined) copy.holders += 1;
		return copy;
	}

	/** A stream that took it has passed its home copy: with the last of them its room comes back. */
	leave(envelope: Envelope, copy: Copy): void {
		copy.holders -= 1;
		if (copy.holders === 0) this.#drop(nameOf(envelope), copy);
	}

	/** The newest number that was forgotten by age. */
	get gone(): number {
		return this.#gone;
	}

	#add(envelope: Envelope): Copy | undefined {
		if (this.#copies.size >= this.#count) return undefined;
		const { key } = envelope.channel;
		const before = this.#newest.get(key) ?? -1;
		const copy = { key, number: this.#next, before, at: this.#clock.monotonic(), holders: 0 };
		this.#next += 1;
		this.#newest.set(key, copy.number);
		this.#copies.set(nameOf(envelope), copy);
		return copy;
	}

	#drop(name: string, { key, number }: Copy): void {
		this.#copies.delete(name);
		if (this.#newest.get(key) === number) this.#newest.delete(key);
	}

	/** Now and then: a map is searched from its beginning, past all that was deleted there. */
	#forget(): void {
		const now = this.#clock.monotonic();
		if (now < this.#forgetAt) return;
		const ageMs = this.#ageMs() ?? DEFAULT_EARLY_COPIES.ageMs;
		this.#forgetAt = now + ageMs / 100;
		for (const [name, copy] of this.#copies) {
			if (copy.at >= now - ageMs) return;
			this.#drop(name, copy);
			this.#gone = copy.number;
		}
	}
}

/** All copies of a channel from one to another. */
interface Run {
	readonly first: number;
	last: number;
}

/** Of one client stream. */
export class TakenEarly {
	readonly #copies: EarlyCopies;
	/** By channel, in order. */
	readonly #runs = new Map<string, Run[]>();

	constructor(copies: EarlyCopies) {
		this.#copies = copies;
	}

	has(envelope: Envelope): boolean {
		return this.#find(envelope) !== undefined;
	}

	hasRoom(envelope: Envelope): boolean {
		return this.#copies.hasRoom(envelope);
	}

	/** One that it does not have; false when there is no room. */
	add(envelope: Envelope): boolean {
		const copy = this.#copies.enter(envelope);
		if (copy === undefined) return false;
		const { key } = envelope.channel;
		const runs = this.#runs.get(key) ?? [];
		this.#runs.set(key, runs);
		const { gone } = this.#copies;
		while ((runs[0]?.last ?? Number.POSITIVE_INFINITY) <= gone) runs.shift();
		const newest = runs.at(-1);
		if (newest !== undefined && newest.last === copy.before) newest.last = copy.number;
		else {
			runs.push({ first: copy.number, last: copy.number });
			// One that other streams took before, and this one only now.
			if (newest !== undefined && copy.number < newest.last) runs.sort((a, b) => a.first - b.first);
		}
		return true;
	}

	/** False for one that it does not have. */
	delete(envelope: Envelope): boolean {
		const found = this.#find(envelope);
		if (found === undefined) return false;
		const { runs, index, copy } = found;
		const { first, last } = runs[index] as Run;
		const left = [
			{ first, last: copy.before },
			{ first: copy.number + 1, last },
		];
		runs.splice(index, 1, ...left.filter((run) => run.first <= run.last));
		if (runs.length === 0) this.#runs.delete(envelope.channel.key);
		this.#copies.leave(envelope, copy);
		return true;
	}

	#find(envelope: Envelope): { readonly runs: Run[]; readonly index: number; readonly copy: Copy } | undefined {
		const runs = this.#runs.get(envelope.channel.key);
		const copy = runs && this.#copies.find(envelope);
		if (runs === undefined || copy === undefined) return undefined;
		const index = runs.findIndex(({ first, last }) => first <= copy.number && copy.number <= last);
		return index < 0 ? undefined : { runs, index, copy };
	}
}
