/**
 * Many askers, one question at a time: an asker is answered by a round that began after it asked, so the answer is as
 * fresh as if it had asked alone, and everyone who asks while a round is under way shares the next one. With a rest,
 * rounds that are shared begin no closer than that: when thousands ask at once, a round costs about the same for each.
 */
import { type Clock, pause } from "./clock.ts";

export interface Rest {
	readonly clock: Clock;
	readonly ms: number;
	readonly stop?: AbortSignal;
}

interface Waiting<Item, Answer> {
	readonly items: Item[];
	readonly answer: PromiseWithResolvers<Answer>;
	askers: number;
}

export class Turns<Item, Answer> {
	readonly #round: (items: readonly Item[]) => Promise<Answer>;
	readonly #rest: Rest | undefined;
	#waiting: Waiting<Item, Answer> | undefined;
	#running = false;

	constructor(round: (items: readonly Item[]) => Promise<Answer>, rest?: Rest) {
		this.#round = round;
		this.#rest = rest;
	}

	/** Nothing is asked, and nobody waits: true for who has just been answered, if nobody asked meanwhile. */
	get isIdle(): boolean {
		return !this.#running;
	}

	ask(items: readonly Item[] = []): Promise<Answer> {
		if (this.#waiting === undefined) {
			this.#waiting = { items: [], answer: Promise.withResolvers(), askers: 0 };
			// In a microtask, so that all who ask in this turn are in it.
			if (!this.#running) queueMicrotask(() => void this.#run());
			this.#running = true;
		}
		this.#waiting.askers += 1;
		for (const item of items) this.#waiting.items.push(item);
		return this.#waiting.answer.promise;
	}

	async #run(): Promise<void> {
		while (this.#waiting !== undefined) {
			const { items, answer, askers } = this.#waiting;
			this.#waiting = undefined;
			const rested = this.#rest && askers > 1 ? pause(this.#rest.clock, this.#rest.ms, this.#rest.stop) : undefined;
			const settle = await this.#settle(items, answer);
			if (this.#waiting === undefined && rested === undefined) {
				this.#running = false;
				return settle();
			}
			settle();
			await rested;
		}
		this.#running = false;
	}

	async #settle(items: readonly Item[], answer: PromiseWithResolvers<Answer>): Promise<() => void> {
		try {
			const found = await this.#round(items);
			return () => answer.resolve(found);
		} catch (error) {
			return () => answer.reject(error);
		}
	}
}
