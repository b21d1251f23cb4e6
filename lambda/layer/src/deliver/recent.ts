/**
 * The bounded recent window of a lane: a contiguous run of its newest entries, from just after `floor` to its end.
 * A client stream whose position is inside it joins from memory. Bounded by count and by encoded bytes. What is kept is
 * text: a tenth of the objects, which the garbage collector would move twice each, and few are ever looked at again.
 */
import type { Channel } from "../core/channel.ts";
import { decodeEnvelope, encodeEnvelope, envelopeBytes } from "../core/envelope.ts";
import { isAtOrBefore, NO_EPOCH, type Position } from "../core/position.ts";
import { type Entry, prevOffset } from "../core/transport.ts";

export interface RecentLimits {
	readonly count: number;
	readonly bytes: number;
}

export const DEFAULT_RECENT: RecentLimits = { count: 100, bytes: 1024 * 1024 };

interface Kept {
	readonly position: Position;
	readonly prev: Position | undefined;
	readonly bytes: number;
	/** When it came, by wall time. */
	readonly at: number;
	/** Absent where the message could not be decoded. */
	readonly id: string | undefined;
	readonly text: string | undefined;
	/** Made for the first who asks: many may come back to a lane at once. */
	entry: Entry | undefined;
}

export class Recent {
	readonly #channel: Channel;
	#entries: Kept[] = [];
	#bytes = 0;
	#floor: Position;
	#forgottenAt = 0;
	readonly #bounds: RecentLimits;

	constructor(channel: Channel, floor: Position, bounds: RecentLimits = DEFAULT_RECENT) {
		this.#channel = channel;
		this.#floor = floor;
		this.#bounds = bounds;
	}

	get bytes(): number {
		return this.#bytes;
	}

	/** When the newest came that is no longer here, by wall time: what came by then is not known to have passed or not. */
	get forgottenAt(): number {
		return this.#forgottenAt;
	}

	/** Forgets everything: the window is empty at `floor`. */
	reset(floor: Position): void {
		this.#forgottenAt = this.#entries.at(-1)?.at ?? this.#forgottenAt;
		this.#entries = [];
		this.#bytes = 0;
		this.#floor = floor;
	}

	push(entry: Entry, now: number): void {
		const { epoch } = entry.position;
		// A log may go on under another epoch: positions of the old one are then not to be placed by their offset alone.
		const end = this.#end;
		if (end.epoch !== epoch && end.epoch !== NO_EPOCH) this.reset({ epoch, offset: prevOffset(entry) });
		if (this.#floor.epoch === NO_EPOCH) this.#floor = { epoch, offset: 0 };
		const kept = keep(entry, now);
		this.#entries.push(kept);
		this.#bytes += kept.bytes;
		while (this.#entries.length > this.#bounds.count || this.#bytes > this.#bounds.bytes) this.#forgetOldest();
	}

	/** Forgets what came by then, by wall time. */
	forget(until: number): void {
		while ((this.#entries[0]?.at ?? Number.POSITIVE_INFINITY) <= until) this.#forgetOldest();
	}

	#forgetOldest(): void {
		const { bytes, position, at } = this.#entries.shift() as Kept;
		this.#bytes -= bytes;
		this.#floor = position;
		this.#forgottenAt = at;
	}

	/** The entries after a position, or undefined when it is not inside the window. */
	after(position: Position): Entry[] | undefined {
		// A stream that saw the lane before its log existed has seen nothing: offset 0 of whichever epoch came first.
		const { epoch, offset } = this.#floor;
		if (position.epoch !== epoch && position.epoch !== NO_EPOCH) return undefined;
		if (position.offset < offset || position.offset > this.#end.offset) return undefined;
		let low = 0;
		let high = this.#entries.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#entries[middle] as Kept).position.offset <= position.offset) low = middle + 1;
			else high = middle;
		}
		return this.#entries.slice(low).map((kept) => this.#entryOf(kept));
	}

	#entryOf(kept: Kept): Entry {
		kept.entry ??= {
			position: kept.position,
			...(kept.prev && { prev: kept.prev }),
			...(kept.text !== undefined && { envelope: decodeEnvelope(kept.text, this.#channel) }),
		};
		return kept.entry;
	}

	get #end(): Position {
		return this.#entries.at(-1)?.position ?? this.#floor;
	}

	/** Whether the window still has the entry with this envelope id, at or before `position`. */
	passed(id: string, position: Position): boolean {
		const found = this.#entries.findLast((kept) => kept.id === id);
		return found !== undefined && isAtOrBefore(found.position, position);
	}
}

function keep(entry: Entry, at: number): Kept {
	const { position, prev, envelope } = entry;
	const text = envelope && encodeEnvelope(envelope);
	return { position, prev, bytes: size(entry), at, id: envelope?.id, text, entry: undefined };
}

export function size(entry: Entry): number {
	return entry.envelope === undefined ? 0 : envelopeBytes(entry.envelope);
}
