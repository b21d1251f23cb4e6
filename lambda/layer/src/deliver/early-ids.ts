/**
 * Ids that a client stream took as early copies, until the home copy passes or the age ends. Bounded: a stream that holds
 * as many takes no more early copies, since an id that is forgotten would be shown again.
 */
import type { Clock } from "../core/clock.ts";

export const DEFAULT_EARLY_IDS = { count: 10_000, ageMs: 600_000 } as const;

export class EarlyIds {
	readonly #clock: Clock;
	readonly #limits: { readonly count: number; readonly ageMs: number };
	/** Insertion order is age order. */
	readonly #ids = new Map<string, number>();

	constructor(clock: Clock, limits: { readonly count: number; readonly ageMs: number } = DEFAULT_EARLY_IDS) {
		this.#clock = clock;
		this.#limits = limits;
	}

	has(id: string): boolean {
		return this.#ids.has(id);
	}

	/** False when there is no room. Those are forgotten that are older than a home copy may be late. */
	add(id: string, ageMs = this.#limits.ageMs): boolean {
		const now = this.#clock.monotonic();
		for (const [oldest, at] of this.#ids) {
			if (now - at <= ageMs) break;
			this.#ids.delete(oldest);
		}
		if (this.#ids.size >= this.#limits.count) return false;
		this.#ids.set(id, now);
		return true;
	}

	delete(id: string): boolean {
		return this.#ids.delete(id);
	}
}
