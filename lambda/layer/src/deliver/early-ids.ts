/** Ids that a client stream took as early copies, until the home copy passes or the age ends. Bounded; oldest first out. */
import type { Clock } from "../core/clock.ts";

export const DEFAULT_EARLY_IDS = { count: 10_000, ageMs: 600_000 } as const;

export class EarlyIds {
	readonly #clock: Clock;
	readonly #limits: { readonly count: number; readonly ageMs: number };
	/** Insertion order is age order. Made when first needed: most streams never take an early copy. */
	#ids: Map<string, number> | undefined;

	constructor(clock: Clock, limits: { readonly count: number; readonly ageMs: number } = DEFAULT_EARLY_IDS) {
		this.#clock = clock;
		this.#limits = limits;
	}

	has(id: string): boolean {
		return this.#ids?.has(id) ?? false;
	}

	add(id: string): void {
		this.#ids ??= new Map();
		this.#ids.set(id, this.#clock.monotonic());
		for (const [oldest, at] of this.#ids) {
			const expired = this.#clock.monotonic() - at > this.#limits.ageMs;
			if (!expired && this.#ids.size <= this.#limits.count) break;
			this.#ids.delete(oldest);
		}
	}

	delete(id: string): boolean {
		return this.#ids?.delete(id) ?? false;
	}
}
