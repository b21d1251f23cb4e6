/**
 * What was handed over and is not settled yet, so that `flush` can wait for all of it and for nothing later. A plain
 * count per term; a flush ends the term. No promise per message, and no entry in a set, whose tables would keep what is
 * over alive (publish/publisher.ts).
 */
export interface Term {
	count: number;
	/** Spelled out: in the declarations the name of its type would ask readers for a library of 2024. */
	readonly over: { readonly promise: Promise<void>; resolve(): void };
}

export class Pending {
	#current: Term = newTerm();
	/** Those that a flush has ended and that are not over. */
	readonly #ended = new Set<Term>();
	#count = 0;

	get count(): number {
		return this.#count;
	}

	begin(): Term {
		this.#count += 1;
		this.#current.count += 1;
		return this.#current;
	}

	end(term: Term): void {
		this.#count -= 1;
		term.count -= 1;
		// A term that a flush waits for is over for good; the current one may fill again.
		if (term.count > 0 || term === this.#current) return;
		this.#ended.delete(term);
		term.over.resolve();
	}

	async flush(): Promise<void> {
		if (this.#current.count > 0) {
			this.#ended.add(this.#current);
			this.#current = newTerm();
		}
		await Promise.all([...this.#ended].map(({ over }) => over.promise));
	}
}

function newTerm(): Term {
	return { count: 0, over: Promise.withResolvers<void>() };
}
