/**
 * What must be read again and was not taken yet: each thing once, in the order in which it first changed. Bounded:
 * beyond the bound everything that the filter names takes the place of what is there.
 */
import type { Changed } from "./mcp-client.ts";

/** `changed`: the server said so. `missed`: it may have changed while nobody listened, or more came than was kept. */
export type Invalidation = Changed & { readonly cause: "changed" | "missed" };

export class Invalidations {
	readonly #max: number;
	readonly #everything: readonly Changed[];
	readonly #waiting = new Map<string, Invalidation>();
	#wake: (() => void) | undefined;
	#end: { readonly error?: unknown } | undefined;

	/** `max` never lies under the number of things that the filter names. */
	constructor(max: number, everything: readonly Changed[]) {
		this.#max = Math.max(max, everything.length);
		this.#everything = everything;
	}

	add(changed: Changed, cause: Invalidation["cause"]): void {
		const key = changed.uri ?? `\0${changed.kind}`;
		if (!this.#waiting.has(key)) {
			if (this.#waiting.size >= this.#max) {
				this.#waiting.clear();
				this.addAll(this.#everything);
				return;
			}
			this.#waiting.set(key, { ...changed, cause });
		}
		this.#wake?.();
	}

	addAll(everything: readonly Changed[]): void {
		for (const changed of everything) this.add(changed, "missed");
	}

	/** What is left is still handed out, then the error, if there is one. */
	end(error?: unknown): void {
		this.#end ??= error === undefined ? {} : { error };
		this.#wake?.();
	}

	/** Takes the next; one consumer at a time. */
	async next(): Promise<IteratorResult<Invalidation, undefined>> {
		for (;;) {
			for (const [key, value] of this.#waiting) {
				this.#waiting.delete(key);
				return { done: false, value };
			}
			if (this.#end !== undefined) {
				const { error } = this.#end;
				this.#end = {};
				if (error !== undefined) throw error;
				return { done: true, value: undefined };
			}
			await new Promise<void>((resolve) => {
				const before = this.#wake;
				this.#wake = () => {
					before?.();
					resolve();
				};
			});
			this.#wake = undefined;
		}
	}
}
