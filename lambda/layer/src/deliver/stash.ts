/**
 * What a lane cannot judge yet: entries that arrived while it was opening or filling, bounded, and the farthest
 * position that is known to exist. Over the bound the oldest entry goes: a fill reads it from the log anyway.
 */
import { isAtOrBefore, type Position } from "../core/position.ts";
import type { Entry } from "../core/transport.ts";
import { type RecentLimits, size } from "./recent.ts";

export class Stash {
	readonly #bounds: RecentLimits;
	#entries: Entry[] = [];
	#bytes = 0;
	#target: Position | undefined;

	constructor(bounds: RecentLimits) {
		this.#bounds = bounds;
	}

	get size(): number {
		return this.#entries.length;
	}

	get target(): Position | undefined {
		return this.#target;
	}

	keep(entry: Entry): void {
		this.#entries.push(entry);
		this.#bytes += size(entry);
		while (this.#entries.length > this.#bounds.count || this.#bytes > this.#bounds.bytes) {
			const oldest = this.#entries.shift() as Entry;
			this.#bytes -= size(oldest);
			this.aim(oldest.position);
		}
	}

	/** There is something at `position` that has to be seen. */
	aim(position: Position): void {
		if (this.#target?.epoch !== position.epoch || this.#target.offset < position.offset) this.#target = position;
	}

	/** What the log itself says, in the place of `target`; not of what was aimed at since that was asked. */
	correct(target: Position, end: Position | undefined): void {
		if (this.#target === target) this.#target = end;
	}

	/** All entries in the order of their offsets; the stash is empty then. */
	take(): Entry[] {
		const entries = this.#entries.sort((a, b) => (a.position.offset < b.position.offset ? -1 : 1));
		this.#entries = [];
		this.#bytes = 0;
		return entries;
	}

	snapshot(): ReadonlySet<Entry> {
		return new Set(this.#entries);
	}

	/** Drops those of `doubted` that lie beyond an end asked for after they came: another log's, or lost by this one. */
	dropBeyond(end: Position, doubted: ReadonlySet<Entry>): void {
		this.#entries = this.#entries.filter((entry) => !doubted.has(entry) || isAtOrBefore(entry.position, end));
		this.#bytes = this.#entries.reduce((sum, entry) => sum + size(entry), 0);
	}
}
