/** Logs by last use: a list through the logs themselves, since every publish moves one to its end. */
import type { Log } from "./log.ts";

export class Lru {
	#oldest: Log | undefined;
	#newest: Log | undefined;

	get oldest(): Log | undefined {
		return this.#oldest;
	}

	add(log: Log): void {
		log.older = this.#newest;
		log.newer = undefined;
		if (this.#newest === undefined) this.#oldest = log;
		else this.#newest.newer = log;
		this.#newest = log;
	}

	remove(log: Log): void {
		if (log.older === undefined) this.#oldest = log.newer;
		else log.older.newer = log.newer;
		if (log.newer === undefined) this.#newest = log.older;
		else log.newer.older = log.older;
		// Who still holds one that is out would hold through it everything that goes after it.
		log.older = undefined;
		log.newer = undefined;
	}

	touch(log: Log): void {
		if (log === this.#newest) return;
		this.remove(log);
		this.add(log);
	}
}
