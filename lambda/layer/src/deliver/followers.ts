/** Who follows a lane: one client stream for most lanes, ten thousand for some. */
import type { Position } from "../core/position.ts";
import type { Entry } from "../core/transport.ts";

export interface Follower {
	/** The lane is open; or it is closed before it was, and nobody need wait. */
	opened(): void;
	entry(entry: Entry): void;
	/** The lane goes on at `position`; what stood between is gone. */
	jump(reason: "gap" | "retention" | "epoch", position: Position): void;
	ended(reason: "moved" | "expired" | "gap"): void;
}

export class Followers {
	#only: Follower | undefined;
	/** Made for the second. */
	#all: Set<Follower> | undefined;

	add(follower: Follower): void {
		if (this.#all !== undefined) this.#all.add(follower);
		else if (this.#only === undefined) this.#only = follower;
		else {
			this.#all = new Set([this.#only, follower]);
			this.#only = undefined;
		}
	}

	delete(follower: Follower): void {
		if (this.#only === follower) this.#only = undefined;
		this.#all?.delete(follower);
	}

	each(say: (follower: Follower) => void): void {
		if (this.#all === undefined) {
			if (this.#only !== undefined) say(this.#only);
		} else for (const follower of this.#all) say(follower);
	}

	list(): Follower[] {
		if (this.#all !== undefined) return [...this.#all];
		return this.#only === undefined ? [] : [this.#only];
	}

	clear(): void {
		this.#only = undefined;
		// Emptied and not only let go: it may be in the middle of being told.
		this.#all?.clear();
	}
}
