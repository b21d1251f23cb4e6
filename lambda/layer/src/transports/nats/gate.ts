/**
 * Holds back what arrives while a partition catches up after a lost connection, so that it comes after what was missed.
 * Bounded: what is too much is let go, and found as a hole.
 */
const MOST = 10_000;

export class Gate {
	#held: (() => void)[] | undefined;

	get isShut(): boolean {
		return this.#held !== undefined;
	}

	pass(task: () => void): void {
		if (this.#held === undefined) task();
		else if (this.#held.length < MOST) this.#held.push(task);
	}

	shut(): void {
		this.#held ??= [];
	}

	open(): void {
		const held = this.#held ?? [];
		this.#held = undefined;
		for (const task of held) task();
	}
}
