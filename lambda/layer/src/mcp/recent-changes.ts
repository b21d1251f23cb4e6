/**
 * What changed on a channel lately: the last time of each kind and URI, bounded. What is no longer known, because the
 * table was full or something was lost, is remembered as one time up to which everything counts as changed.
 */
/** Keys kept at the least; up to twice as many at times. */
export const DEFAULT_RECENT_CHANGES = 1_000;

export class RecentChanges {
	readonly #at = new Map<string, number>();
	readonly #max: number;
	#unknownUntil = Number.NEGATIVE_INFINITY;

	constructor(max: number = DEFAULT_RECENT_CHANGES) {
		this.#max = max;
	}

	/** A change of the moment, or of the past when it is later than what is known. */
	add(key: string, at: number): void {
		const known = this.#at.get(key);
		if (known !== undefined) {
			if (known >= at) return;
			this.#at.delete(key);
		}
		this.#at.set(key, at);
		if (this.#at.size >= 2 * this.#max) this.#forget();
	}

	/** Half at once: one by one would cost each change as much as all that hear it. */
	#forget(): void {
		for (const [key, at] of this.#at) {
			if (this.#at.size <= this.#max) return;
			this.#at.delete(key);
			this.lost(at);
		}
	}

	/** Anything may have changed up to this time. */
	lost(at: number): void {
		this.#unknownUntil = Math.max(this.#unknownUntil, at);
	}

	hasSince(key: string, sinceMs: number): boolean {
		return this.#unknownUntil >= sinceMs || (this.#at.get(key) ?? Number.NEGATIVE_INFINITY) >= sinceMs;
	}
}
