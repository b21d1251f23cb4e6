/**
 * How long a log may answer without an entry that is known to exist. A process that was held still did not look
 * meanwhile, so only a part of the bound counts between two looks; and what moves on, or cannot be asked, has all of it
 * again.
 */
import type { Clock } from "../core/clock.ts";

/** So many looks at the least. */
const LOOKS = 4;

export class Patience {
	readonly #clock: Clock;
	readonly #boundMs: number;
	#lookedAt: number;
	#missedMs = 0;

	constructor(clock: Clock, boundMs: number) {
		this.#clock = clock;
		this.#boundMs = boundMs;
		this.#lookedAt = clock.monotonic();
	}

	/** It answered without the entry, once more: true when that is over the bound. */
	isOver(): boolean {
		const now = this.#clock.monotonic();
		this.#missedMs += Math.min(now - this.#lookedAt, this.#boundMs / LOOKS);
		this.#lookedAt = now;
		return this.#missedMs >= this.#boundMs;
	}

	renew(): void {
		this.#lookedAt = this.#clock.monotonic();
		this.#missedMs = 0;
	}
}
