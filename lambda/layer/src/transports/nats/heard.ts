/**
 * How far a partition's sequences are all accounted for in this process: each was a live copy that a followed channel
 * took in its place, or was looked after by a check. Up to here no followed channel has lost anything, so a check has
 * nothing to ask for where this reaches the partition's end, as it does in the only process that follows what is busy.
 */

/** Sequences that are remembered beyond a hole; what is more makes the next check ask. */
const MOST = 4_096;

export class Heard {
	#upTo = 0;
	readonly #beyond = new Set<number>();

	get upTo(): number {
		return this.#upTo;
	}

	add(seq: number): void {
		if (seq <= this.#upTo) return;
		if (this.#beyond.size < MOST) this.#beyond.add(seq);
		this.#goOn();
	}

	/** Nothing that is followed comes up to here but what is known. */
	verified(seq: number): void {
		if (seq <= this.#upTo) return;
		this.#upTo = seq;
		for (const one of this.#beyond) if (one <= seq) this.#beyond.delete(one);
		this.#goOn();
	}

	/** The log is another one. */
	forget(): void {
		this.#upTo = 0;
		this.#beyond.clear();
	}

	#goOn(): void {
		while (this.#beyond.delete(this.#upTo + 1)) this.#upTo += 1;
	}
}
