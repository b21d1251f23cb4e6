/**
 * Holds back what arrives while a partition catches up after a lost connection, so that it comes after what was missed.
 * Bounded: what is too much is let go, and found as a hole.
 */
const MOST = 10_000;
const MOST_BYTES = 16 * 1024 * 1024;

export class Gate {
	#held: (() => void)[] | undefined;
	#bytes = 0;

	get isShut(): boolean {
		return this.#held !== undefined;
	}

	pass(bytes: number, task: () => void): void {
		if (this.#held === undefined) task();
		else if (this.#held.length < MOST && this.#bytes + bytes <= MOST_BYTES) {
			this.#held.push(task);
			this.#bytes += bytes;
		}
	}

	shut(): void {
		this.#held ??= [];
	}

	open(): void {
		const held = this.#held ?? [];
		this.#held = undefined;
		this.#bytes = 0;
		for (const task of held) task();
	}
}
