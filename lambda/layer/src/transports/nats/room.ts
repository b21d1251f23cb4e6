/** Room for so many at once; whoever comes when there is none waits in line. */
export class Room {
	#free: number;
	readonly #line: { readonly count: number; enter(): void }[] = [];

	constructor(size: number) {
		this.#free = size;
	}

	/** Undefined when there is room right away. A request for more than the whole room enters when it is empty enough. */
	enter(count: number): Promise<void> | undefined {
		if (this.#line.length === 0 && this.#free > 0) {
			this.#free -= count;
			return undefined;
		}
		return new Promise((enter) => this.#line.push({ count, enter }));
	}

	leave(count: number): void {
		this.#free += count;
		while (this.#free > 0) {
			const next = this.#line.shift();
			if (next === undefined) return;
			this.#free -= next.count;
			next.enter();
		}
	}
}
