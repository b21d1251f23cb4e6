/**
 * When this process hears what others tell it: always, or, where it follows only while it is held (a function), while
 * somebody here listens. The first who listens opens, the last who stops closes.
 */
import type { Feed } from "../../core/client-feed.ts";
import type { SessionHost } from "./host.ts";

export interface Listening {
	/** Idempotent. */
	stop(): void;
}

interface Open {
	listeners: number;
	isEnded: boolean;
	readonly ready: Promise<{ readonly feed: Feed; release(): Promise<void> }>;
}

export class Ear {
	readonly #host: SessionHost;
	readonly #openFeed: () => Feed;
	readonly #always: Feed | undefined;
	readonly #closing = new Set<Promise<void>>();
	#now: Open | undefined;

	/** Throws where nothing is ever followed. */
	constructor(host: SessionHost, openFeed: () => Feed) {
		this.#host = host;
		this.#openFeed = openFeed;
		this.#always = host.follow === "held" ? undefined : openFeed();
	}

	/** Rejects when this process cannot be told anything. */
	get opened(): Promise<void> {
		return this.#always?.opened ?? Promise.resolve();
	}

	/** Resolves when all that is told from now on is heard. */
	async listen(): Promise<Listening> {
		await this.opened;
		if (this.#always !== undefined) return { stop() {} };
		this.#now ??= { listeners: 0, isEnded: false, ready: this.#open() };
		const open = this.#now;
		open.listeners += 1;
		let isListening = true;
		const stop = () => {
			if (isListening) open.listeners -= 1;
			isListening = false;
			if (open.listeners === 0) this.#end(open);
		};
		try {
			await open.ready;
		} catch (error) {
			stop();
			throw error;
		}
		return { stop };
	}

	/** Whoever listened does so no more. Resolves when nothing is open. */
	async close(): Promise<void> {
		this.#always?.close();
		if (this.#now !== undefined) this.#end(this.#now);
		await Promise.all(this.#closing);
	}

	async #open() {
		const hold = await this.#host.hold();
		let feed: Feed | undefined;
		try {
			feed = this.#openFeed();
			await feed.opened;
			return { feed, release: () => hold.release() };
		} catch (error) {
			feed?.close();
			await hold.release();
			throw error;
		}
	}

	#end(open: Open): void {
		if (open.isEnded) return;
		open.isEnded = true;
		if (this.#now === open) this.#now = undefined;
		const closed = async () => {
			try {
				const { feed, release } = await open.ready;
				feed.close();
				await release();
			} catch {
				// It never stood, and whoever listened was told why.
			}
		};
		const closing = closed().finally(() => this.#closing.delete(closing));
		this.#closing.add(closing);
	}
}

/** Somebody who listens from when it first has to, until it is over. */
export class Attention {
	readonly #listen: () => Promise<Listening>;
	#opening: Promise<unknown> | undefined;
	#listening: Listening | undefined;
	#isOver = false;

	constructor(listen: () => Promise<Listening>) {
		this.#listen = listen;
	}

	/** What has to be waited for: undefined when this process hears already, or nobody ever needed that. */
	wait(isNeeded: boolean): Promise<unknown> | undefined {
		if (this.#listening !== undefined) return undefined;
		if (isNeeded) this.#opening ??= this.#open();
		return isNeeded ? this.#opening : this.#opening?.catch(() => undefined);
	}

	over(): void {
		this.#isOver = true;
		this.#listening?.stop();
	}

	async #open(): Promise<void> {
		try {
			const listening = await this.#listen();
			if (this.#isOver) listening.stop();
			else this.#listening = listening;
		} finally {
			this.#opening = undefined;
		}
	}
}
