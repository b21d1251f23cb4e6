/**
 * What changed on a channel lately: the last time of each kind and URI, bounded. What is no longer known, because the
 * table was full or something was lost, is remembered as one time up to which everything counts as changed. Two
 * generations: when the younger is full the elder goes as a whole, so that a change costs one insertion and no removal.
 */
/** Keys kept at the least; up to twice as many at times. */
export const DEFAULT_RECENT_CHANGES = 1_000;

export class RecentChanges {
	readonly #max: number;
	#young = new Map<string, number>();
	#elder: ReadonlyMap<string, number> = new Map();
	#unknownUntil = Number.NEGATIVE_INFINITY;

	constructor(max: number = DEFAULT_RECENT_CHANGES) {
		this.#max = max;
	}

	/** A change of the moment, or of the past when it is later than what is known. */
	add(key: string, at: number): void {
		const known = this.#young.get(key);
		if (known !== undefined && known >= at) return;
		this.#young.set(key, at);
		if (this.#young.size >= this.#max) this.#age();
	}

	#age(): void {
		// What changed again since then is in the younger generation, with its later time.
		for (const [key, at] of this.#elder) if (!this.#young.has(key)) this.lost(at);
		this.#elder = this.#young;
		this.#young = new Map();
	}

	/** Anything may have changed up to this time. */
	lost(at: number): void {
		this.#unknownUntil = Math.max(this.#unknownUntil, at);
	}

	hasSince(key: string, sinceMs: number): boolean {
		const isSince = (at: number | undefined) => at !== undefined && at >= sinceMs;
		return this.#unknownUntil >= sinceMs || isSince(this.#young.get(key)) || isSince(this.#elder.get(key));
	}
}
