/** A work that answers for all who asked before it began: one at a time, and who comes meanwhile shares the next one. */
export class Turns<T> {
	readonly #work: () => Promise<T>;
	#now: Promise<T> | undefined;
	#next: Promise<T> | undefined;

	constructor(work: () => Promise<T>) {
		this.#work = work;
	}

	get isIdle(): boolean {
		return this.#now === undefined && this.#next === undefined;
	}

	run(): Promise<T> {
		if (this.#now === undefined) {
			this.#now = this.#work().finally(() => {
				this.#now = undefined;
			});
			return this.#now;
		}
		const next = () => {
			this.#next = undefined;
			return this.run();
		};
		this.#next ??= this.#now.then(next, next);
		return this.#next;
	}
}
