/** Signs that this process waits for from another, by a key that it gave. */
import { type Clock, pause } from "../../core/clock.ts";

/** For the whole process: what one handler waits for is never given to another. */
let expected = 0;

export class Signs {
	readonly #instance: string;
	readonly #waiting = new Map<string, () => void>();

	constructor(instance: string) {
		this.#instance = instance;
	}

	get size(): number {
		return this.#waiting.size;
	}

	/** Calls `on` for each sign with the key, until `stop`. */
	expect(on: () => void): { readonly key: string; stop(): void } {
		expected += 1;
		const key = `${this.#instance} ${expected}`;
		this.#waiting.set(key, on);
		return { key, stop: () => void this.#waiting.delete(key) };
	}

	/** Resolves with the first sign, or after `ms` without one. */
	once(clock: Clock, ms: number): { readonly key: string; readonly seen: Promise<void> } {
		const waiting = new AbortController();
		const { key, stop } = this.expect(() => waiting.abort());
		return { key, seen: pause(clock, ms, waiting.signal, true).finally(stop) };
	}

	give(key: string): void {
		this.#waiting.get(key)?.();
	}
}
