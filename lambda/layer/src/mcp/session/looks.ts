/**
 * What the records of sessions say. Reads and writes are answered in any order: what is handed on is of a read that began
 * after it was asked for, and after all that this process has been told by then, so that nothing newer is undone by it.
 */
import type { Channel } from "../../core/channel.ts";
import { Turns } from "../../core/turns.ts";
import type { SessionStore, StoredSession } from "./store.ts";

type Found = StoredSession | undefined;

export interface LooksDeps {
	readonly store: Pick<SessionStore, "read">;
	/** What this process goes by now, wherever it keeps it: compared by identity. */
	known(channel: Channel): readonly unknown[];
}

export class Looks {
	readonly #deps: LooksDeps;
	/** Those that are under way, by session. */
	readonly #turns = new Map<string, Turns<never, Found>>();

	constructor(deps: LooksDeps) {
		this.#deps = deps;
	}

	/** What the record says, read after this was asked for. */
	async look(channel: Channel): Promise<Found> {
		const { key } = channel;
		const turns = this.#turns.get(key) ?? new Turns<never, Found>(() => this.#read(channel));
		this.#turns.set(key, turns);
		try {
			return await turns.ask();
		} finally {
			if (turns.isIdle) this.#turns.delete(key);
		}
	}

	/** What the record says after this write of it, which has just been begun. */
	async written(channel: Channel, write: Promise<Found>): Promise<Found> {
		const isSame = this.#watch(channel);
		const stored = await write;
		return stored === undefined || isSame() ? stored : this.look(channel);
	}

	async #read(channel: Channel): Promise<Found> {
		for (;;) {
			const isSame = this.#watch(channel);
			const stored = await this.#deps.store.read(channel);
			if (isSame()) return stored;
		}
	}

	#watch(channel: Channel): () => boolean {
		const before = this.#deps.known(channel);
		return () => this.#deps.known(channel).every((one, index) => one === before[index]);
	}
}
