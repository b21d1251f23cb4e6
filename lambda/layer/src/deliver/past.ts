/**
 * The past of lanes that moved here, as a session's does from region to region. A cursor from there is a position in the
 * log there; a client stream reads that log to where the lane left it, then goes on here. Its cursor names the old
 * place until then, so that it can be cut at any moment. Reads are bounded for each place apart: one that does not answer
 * delays nobody else.
 */
import type { Clock } from "../core/clock.ts";
import { type Cursor, laneKey, placeCode } from "../core/cursor.ts";
import type { Position } from "../core/position.ts";
import type { Page, Transport } from "../core/transport.ts";
import { CursorPart } from "./cursor-part.ts";
import type { Lane } from "./lane.ts";
import { type ReadLimits, Reads } from "./reads.ts";

export interface Past {
	/** Where the cursor is in the log there. */
	readonly position: Position;
	readonly part: CursorPart;
	read(from: Position): Promise<Page>;
}

export interface PastLimits {
	readonly reads: ReadLimits;
	readonly pageEntries: number;
}

export class Pasts {
	readonly #transport: Transport;
	readonly #clock: Clock;
	readonly #limits: PastLimits;
	readonly #reads = new Map<string, Reads>();

	constructor(transport: Transport, clock: Clock, limits: PastLimits) {
		this.#transport = transport;
		this.#clock = clock;
		this.#limits = limits;
	}

	/** What a cursor that does not list this lane says of it at another place. */
	find({ channel, cursorPart: { tag } }: Lane, cursor: Cursor): Past | undefined {
		for (const place of this.#transport.past?.places(channel) ?? []) {
			const code = placeCode(place);
			const position = cursor.get(laneKey(tag, code));
			if (position === undefined) continue;
			const reads = this.#readsOf(place);
			return {
				position,
				part: new CursorPart(tag, { place: code, clock: this.#clock }),
				read: (from) => reads.read({ channel, from, limit: this.#limits.pageEntries }),
			};
		}
		return undefined;
	}

	close(): void {
		for (const reads of this.#reads.values()) reads.close();
	}

	#readsOf(place: string): Reads {
		let reads = this.#reads.get(place);
		if (reads === undefined) {
			const { past } = this.#transport;
			const read: Transport["read"] = (asks, signal) => past?.read(place, asks, signal) ?? noPages();
			reads = new Reads({ place, read }, this.#clock, this.#limits.reads);
			this.#reads.set(place, reads);
		}
		return reads;
	}
}

async function* noPages(): AsyncGenerator<Page> {}
