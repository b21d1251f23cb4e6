/**
 * The bus's client stream: a sink that hands each envelope of `all` to whoever listens in this process. Its feed is
 * opened again when the engine ends it, until it is closed: nobody else would come back for it.
 */
import type { Feed, Sink } from "../core/client-feed.ts";
import type { Envelope } from "../core/envelope.ts";
import type { BusEar } from "./bus.ts";

export class Ears implements Sink {
	readonly #ears = new Set<BusEar>();
	readonly #openFeed: (sink: Sink) => Feed;
	#feed: Feed;

	constructor(openFeed: (sink: Sink) => Feed) {
		this.#openFeed = openFeed;
		this.#feed = openFeed(this);
	}

	get opened(): Promise<void> {
		return this.#feed.opened;
	}

	close(): void {
		this.#feed.close();
	}

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
		this.#feed = this.#openFeed(this);
		this.mark();
	}
}
