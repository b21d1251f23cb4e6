/** The bus's client stream: a sink that hands each envelope of `all` to whoever listens in this process. */

import type { Sink } from "../core/client-feed.ts";
import type { Envelope } from "../core/envelope.ts";
import type { BusEar } from "./bus.ts";

export class Ears implements Sink {
	readonly #ears = new Set<BusEar>();

	add(ear: BusEar): () => void {
		this.#ears.add(ear);
		return () => this.#ears.delete(ear);
	}

	deliver(envelope: Envelope): void {
		for (const ear of this.#ears) ear.hear(envelope);
	}

	mark(): void {
		for (const ear of this.#ears) ear.missed();
	}

	cursor(): void {}

	end(): void {
		this.mark();
	}
}
