/**
 * Many askers, one question at a time: an asker is answered by a round that began after it asked, so the answer is as
 * fresh as if it had asked alone, and everyone who asks while a round is under way shares the next one.
 */
export class Turns<Item, Answer> {
	readonly #round: (items: readonly Item[]) => Promise<Answer>;
	#waiting: { readonly items: Item[]; readonly answer: PromiseWithResolvers<Answer> } | undefined;
	#running = false;

	constructor(round: (items: readonly Item[]) => Promise<Answer>) {
		this.#round = round;
	}

	ask(items: readonly Item[] = []): Promise<Answer> {
		if (this.#waiting === undefined) {
			this.#waiting = { items: [], answer: Promise.withResolvers() };
			// In a microtask, so that all who ask in this turn are in it.
			if (!this.#running) queueMicrotask(() => void this.#run());
			this.#running = true;
		}
		for (const item of items) this.#waiting.items.push(item);
		return this.#waiting.answer.promise;
	}

	async #run(): Promise<void> {
		while (this.#waiting !== undefined) {
			const { items, answer } = this.#waiting;
			this.#waiting = undefined;
			try {
				answer.resolve(await this.#round(items));
			} catch (error) {
				answer.reject(error);
			}
		}
		this.#running = false;
	}
}
