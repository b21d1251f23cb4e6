/** A lane's 24 characters of its client streams' cursors: made once for all streams that an entry reaches. */
import type { Clock } from "../core/clock.ts";
import { emptySince, laneHead, laneOffset } from "../core/cursor.ts";
import { NO_EPOCH, type Position } from "../core/position.ts";

export class CursorPart {
	readonly #tag: string;
	readonly #place: number;
	readonly #clock: Clock;
	#epoch = "";
	#head = "";
	#position: Position | undefined;
	#text = "";

	constructor(tag: string, place: number, clock: Clock) {
		this.#tag = tag;
		this.#place = place;
		this.#clock = clock;
	}

	at(position: Position): string {
		if (this.#position === position) return this.#text;
		const { epoch, offset } = position.epoch === NO_EPOCH ? emptySince(this.#clock.now()) : position;
		if (this.#epoch !== epoch) {
			this.#epoch = epoch;
			this.#head = laneHead(this.#tag, this.#place, epoch);
		}
		this.#position = position;
		this.#text = this.#head + laneOffset(offset);
		return this.#text;
	}
}
