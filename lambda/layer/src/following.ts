/**
 * What this process follows, and when: always (`true`), never (`false`), or only while somebody holds it (`held`).
 * Held is for functions: no subscription and no socket between two holds, and a freeze then finds nothing open. The
 * first hold starts engines (on transports of their own where following takes a connection of its own), the last
 * release ends what streams are left, closes all of it, and resolves when it is closed.
 */
import type { Reason } from "./core/client-feed.ts";
import type { Clock } from "./core/clock.ts";
import { FanoutError } from "./core/errors.ts";
import type { Transport } from "./core/transport.ts";
import { createEngine, type Engine } from "./deliver/engine.ts";
import type { ExchangedFeed } from "./deliver/joined-later.ts";

export type Follow = boolean | "held";

export interface Hold {
	/** Idempotent. Resolves when nothing is followed any more, if this was the last hold. */
	release(): Promise<void>;
}

export interface FollowingDeps {
	readonly mode: Follow;
	/** Those to follow; the same array for good. */
	readonly transports: readonly Transport[];
	readonly clock: Clock;
	random(): number;
	report(error: FanoutError): void;
	/** As the engine's. */
	late?(transport: Transport): Promise<void> | undefined;
	/** The transport to follow in the place of one that publishes only; not started yet. */
	follower(transport: Transport): Promise<Transport>;
	start(transports: readonly Transport[]): Promise<void>;
	close(transport: Transport): Promise<void>;
	/** What must stand before a hold is given. */
	opened(): Promise<void>;
	/** Ends client streams and listens. */
	ended(): Promise<void>;
}

/** What is followed by feeds from before a swap only. */
export interface Left {
	end(reason: Reason): void;
	close(): void;
}

export interface Following {
	/** The same arrays for good; empty while nothing is followed. */
	readonly engines: readonly Engine[];
	readonly transports: readonly Transport[];
	/** Those that are open: new ones enter here (FeedDeps). */
	readonly feeds: Set<ExchangedFeed>;
	/** Every feed follows these too, from where they are now; resolves when it does. */
	add(added: readonly Transport[]): Promise<void>;
	/** New feeds follow these. Those that were open go on with what they follow until they are let go. */
	swap(next: readonly Transport[]): Left;
	/** Throws when nothing is followed, and says what would change that. */
	insist(): void;
	hold(): Promise<Hold>;
	close(): Promise<void>;
}

export function createFollowing(deps: FollowingDeps): Following {
	const { mode } = deps;
	const engines: Engine[] = [];
	const feeds = new Set<ExchangedFeed>();
	const transports: Transport[] = [];
	let own: Transport[] = [];
	let holds = 0;
	/** Opening and closing, one after another. */
	let turn: Promise<void> = Promise.resolve();
	let isOpen = false;
	let isClosed = false;

	function begin(followed: readonly Transport[]): void {
		transports.push(...followed);
		engines.push(...followed.map((transport) => createEngine(transport, deps)));
		isOpen = true;
	}

	async function open(): Promise<void> {
		if (isOpen || holds === 0) return;
		try {
			const followed = await Promise.all(deps.transports.map((transport) => deps.follower(transport)));
			own = followed.filter((transport) => !deps.transports.includes(transport));
			if (own.length > 0) await deps.start(own);
			begin(followed);
			await deps.opened();
		} catch (error) {
			await shut();
			throw error;
		}
	}

	async function shut(): Promise<void> {
		const wasOpen = isOpen;
		isOpen = false;
		if (wasOpen) await deps.ended();
		for (const engine of engines.splice(0)) engine.close();
		transports.length = 0;
		await Promise.all(own.splice(0).map((transport) => deps.close(transport)));
	}

	function next(task: () => Promise<void>): Promise<void> {
		const done = turn.then(task);
		turn = done.catch(() => undefined); // whoever asked for it is told
		return done;
	}

	async function letGo(): Promise<void> {
		await next(async () => {
			holds -= 1;
			if (holds === 0 && !isClosed) await shut();
		});
	}

	if (mode === true) begin(deps.transports);
	return {
		engines,
		transports,
		feeds,
		async add(added) {
			if (!isOpen) return;
			const more = added.map((transport) => createEngine(transport, deps));
			transports.push(...added);
			engines.push(...more);
			await Promise.all(more.flatMap((engine) => [...feeds].map((feed) => feed.follow(engine))));
		},
		swap(next) {
			if (!isOpen) return { end() {}, close() {} };
			const before = [...engines];
			const open = [...feeds];
			const engineOf = (transport: Transport) =>
				before.find((engine) => engine.transport === transport) ?? createEngine(transport, deps);
			engines.splice(0, engines.length, ...next.map(engineOf));
			transports.splice(0, transports.length, ...next);
			for (const feed of open) feed.swapped?.();
			return {
				end(reason) {
					for (const feed of open) feed.ended(reason);
				},
				close() {
					for (const engine of before) if (!engines.includes(engine)) engine.close();
				},
			};
		},
		insist() {
			if (isOpen) return;
			const why =
				mode === "held" ? "this fanout follows only while it is held: see streamify" : "this fanout only publishes";
			throw new FanoutError("Unsupported", `${why} (follow: ${JSON.stringify(mode)})`);
		},
		async hold() {
			if (mode === false) this.insist();
			if (isClosed) throw new FanoutError("Closed", "the fanout is closed");
			if (mode !== "held") return { release: async () => undefined };
			holds += 1;
			let released: Promise<void> | undefined;
			const hold: Hold = {
				release() {
					released ??= letGo();
					return released;
				},
			};
			try {
				await next(open);
			} catch (error) {
				holds -= 1;
				throw error;
			}
			return hold;
		},
		close() {
			holds = 0;
			isClosed = true;
			return next(shut);
		},
	};
}
