/**
 * What a lane cannot judge yet: entries that arrived while it was opening or filling, bounded, and the farthest
 * position that is known to exist. Over the bound the oldest entry goes: a fill reads it from the log anyway.
 */
import { isAtOrBefore, type Position } from "../core/position.ts";
import type { Entry } from "../core/transport.ts";

export class Stash {
	readonly #bound: number;
	#entries: Entry[] = [];
	#target: Position | undefined;

	constructor(bound: number) {
		this.#bound = bound;
	}

	get size(): number {
		return this.#entries.length;
	}

	get target(): Position | undefined {
		return this.#target;
	}

	keep(entry: Entry): void {
		this.#entries.push(entry);
		if (this.#entries.length > this.#bound) this.aim((this.#entries.shift() as Entry).position);
	}

	/** There is something at `position` that has to be seen. */
	aim(position: Position): void {
		if (this.#target?.epoch !== position.epoch || this.#target.offset < position.offset) this.#target = position;
	}

	/** The target, replaced by what the log itself says. */
	correct(end: Position | undefined): void {
		this.#target = end;
	}

	/** All entries in the order of their offsets; the stash is empty then. */
	take(): Entry[] {
		const entries = this.#entries.sort((a, b) => (a.position.offset < b.position.offset ? -1 : 1));
		this.#entries = [];
		return entries;
	}

	snapshot(): ReadonlySet<Entry> {
		return new Set(this.#entries);
	}

	/** Drops those of `doubted` that lie beyond an end asked for after they came: another log's, or lost by this one. */
	dropBeyond(end: Position, doubted: ReadonlySet<Entry>): void {
		this.#entries = this.#entries.filter((entry) => !doubted.has(entry) || isAtOrBefore(entry.position, end));
	}
}
