/**
 * The bounded recent window of a lane: a contiguous run of its newest entries, from just after `floor` to its end.
 * A client stream whose position is inside it joins from memory. Bounded by count and by encoded bytes.
 */
import { envelopeBytes } from "../core/envelope.ts";
import { NO_EPOCH, type Position } from "../core/position.ts";
import type { Entry } from "../core/transport.ts";

export interface RecentLimits {
	readonly count: number;
	readonly bytes: number;
}

export const DEFAULT_RECENT: RecentLimits = { count: 256, bytes: 1024 * 1024 };

export class Recent {
	#entries: Entry[] = [];
	#start = 0;
	#bytes = 0;
	#floor: Position;
	readonly #bounds: RecentLimits;

	constructor(floor: Position, bounds: RecentLimits = DEFAULT_RECENT) {
		this.#floor = floor;
		this.#bounds = bounds;
	}

	/** Forgets everything: the window is empty at `floor`. */
	reset(floor: Position): void {
		this.#entries = [];
		this.#start = 0;
		this.#bytes = 0;
		this.#floor = floor;
	}

	push(entry: Entry): void {
		if (this.#floor.epoch === NO_EPOCH) this.#floor = { epoch: entry.position.epoch, offset: 0n };
		this.#entries.push(entry);
		this.#bytes += size(entry);
		while (this.#entries.length - this.#start > this.#bounds.count || this.#bytes > this.#bounds.bytes) {
			const oldest = this.#entries[this.#start];
			if (oldest === undefined) break;
			this.#bytes -= size(oldest);
			this.#floor = oldest.position;
			this.#start += 1;
		}
		if (this.#start > this.#bounds.count) {
			this.#entries = this.#entries.slice(this.#start);
			this.#start = 0;
		}
	}

	/** The entries after a position, or undefined when the window does not reach back to it. */
	after(position: Position): Entry[] | undefined {
		// A stream that saw the lane before its log existed has seen nothing: offset 0 of whichever epoch came first.
		const { epoch, offset } = this.#floor;
		if (position.epoch !== epoch && position.epoch !== NO_EPOCH) return undefined;
		if (position.offset < offset) return undefined;
		let low = this.#start;
		let high = this.#entries.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#entries[middle] as Entry).position.offset <= position.offset) low = middle + 1;
			else high = middle;
		}
		return this.#entries.slice(low);
	}

	/** The position of the entry that carries this envelope id, if the window still has it. */
	find(id: string): Position | undefined {
		for (let at = this.#entries.length - 1; at >= this.#start; at -= 1) {
			const entry = this.#entries[at] as Entry;
			if (entry.envelope?.id === id) return entry.position;
		}
		return undefined;
	}
}

function size(entry: Entry): number {
	return entry.envelope === undefined ? 0 : envelopeBytes(entry.envelope);
}
