/** The open client streams of a hub, in the shifts that their hearts beat in: a beat looks at its own shift's only. */
import type { HubStream } from "./client-stream.ts";

export class OpenStreams implements Iterable<HubStream> {
	readonly #shifts: readonly Set<HubStream>[];
	#size = 0;

	constructor(shifts: number) {
		this.#shifts = Array.from({ length: shifts }, () => new Set());
	}

	get size(): number {
		return this.#size;
	}

	add(stream: HubStream): void {
		this.#shiftOf(stream).add(stream);
		this.#size += 1;
	}

	delete(stream: HubStream): void {
		if (this.#shiftOf(stream).delete(stream)) this.#size -= 1;
	}

	/** Counts from 0, and begins again where there are no more. */
	shift(number: number): Iterable<HubStream> {
		return this.#shifts[number % this.#shifts.length] as Set<HubStream>;
	}

	*[Symbol.iterator](): Iterator<HubStream> {
		for (const shift of this.#shifts) yield* shift;
	}

	#shiftOf(stream: HubStream): Set<HubStream> {
		return this.#shifts[stream.number % this.#shifts.length] as Set<HubStream>;
	}
}
