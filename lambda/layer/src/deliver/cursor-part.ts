/** A lane's 24 characters of its client streams' cursors: made once for all streams that an entry reaches. */
import type { Clock } from "../core/clock.ts";
import { emptySince, laneHead, laneOffset } from "../core/cursor.ts";
import { BEGINNING, type Position, samePosition } from "../core/position.ts";

export class CursorPart {
	readonly tag: string;
	readonly #lane: { readonly place: number; readonly clock: Clock };
	#epoch: string | undefined;
	#offset = -1;
	#head = "";
	#text = "";

	constructor(tag: string, lane: { readonly place: number; readonly clock: Clock }) {
		this.tag = tag;
		this.#lane = lane;
	}

	at(position: Position): string {
		const { epoch } = position;
		// An empty lane says until when it was empty: what was said once grows older than the log's retention.
		const { offset } = samePosition(position, BEGINNING) ? emptySince(this.#lane.clock.now()) : position;
		const isSame = epoch === this.#epoch;
		if (isSame && offset === this.#offset) return this.#text;
		if (!isSame) this.#head = laneHead(this.tag, this.#lane.place, epoch);
		this.#epoch = epoch;
		this.#offset = offset;
		this.#text = this.#head + laneOffset(offset);
		return this.#text;
	}
}
