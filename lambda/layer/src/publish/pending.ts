/**
 * What was handed over and is not settled yet, so that `flush` can wait for all of it and for nothing later. A plain
 * count per term; a flush ends the term. No promise per envelope.
 */
export interface Term {
	count: number;
	readonly over: PromiseWithResolvers<void>;
}

export class Pending {
	#current: Term = newTerm();
	readonly #open = new Set<Term>();
	#count = 0;

	get count(): number {
		return this.#count;
	}

	begin(): Term {
		this.#count += 1;
		this.#current.count += 1;
		this.#open.add(this.#current);
		return this.#current;
	}

	end(term: Term): void {
		this.#count -= 1;
		term.count -= 1;
		if (term.count > 0) return;
		this.#open.delete(term);
		// A term that a flush waits for is over for good; the current one may fill again.
		if (term !== this.#current) term.over.resolve();
	}

	async flush(): Promise<void> {
		if (this.#current.count > 0) this.#current = newTerm();
		await Promise.all([...this.#open].map(({ over }) => over.promise));
	}
}

function newTerm(): Term {
	return { count: 0, over: Promise.withResolvers() };
}
