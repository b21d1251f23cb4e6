/**
 * The sessions that this process owns, behind `fanout.sessions`: the store is opened by the first use and this
 * instance's term begun by the first claim, whoever never asks pays nothing. A session that was lost to somebody else
 * has its streams here ended with `moved`. A drain gives sessions over one by one as nothing of them is left here: no
 * stream, and nothing in use.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { checkDrain, type DrainRequest, giveNotice } from "../core/drain.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Ids } from "../core/ids.ts";
import type { ExchangedStore } from "./exchanged-store.ts";
import type { Hold } from "./hold.ts";
import { DEFAULT_REGISTRY_TIMEOUT_MS } from "./limits.ts";
import type { SessionRegistryOptions } from "./options.ts";
import type { Claimed, ClaimOptions, Owner } from "./owner.ts";
import type { Registry } from "./port.ts";
import type { Store } from "./store.ts";
import { createUses } from "./uses.ts";

export interface Sessions {
	/** What is known of all sessions, whoever owns them. */
	registry(): Promise<Registry>;
	/** Owns a session from now on; throws Conflict (retryable, `waitMs` in its data) while another instance does. */
	claim(session: Channel, options?: ClaimOptions): Promise<Claimed>;
	held(session: Channel): Hold | undefined;
	/** Until the returned function is called a drain keeps the session, at most for its grace: a question, an answer. */
	use(session: Channel): () => void;
	/** Told of sessions that somebody else may own now. Returns what ends it. */
	onlost(listener: (sessions: readonly Channel[]) => void): () => void;
	readonly owned: number;
}

export interface FanoutSessions extends Sessions {
	/** Something was asked for, and the store is open or opening. */
	readonly isOpen: boolean;
	/** A stream of the session was the last one here. */
	left(session: Channel): void;
	/** Closes connections that no call uses now. */
	rest(): void;
	/**
	 * Does `work`, and takes an open registry along to the store that `open` gives, if it gives one. That has started before
	 * `work` begins, and is asked after it; when either fails, everything stays.
	 */
	exchange<T>(open: () => Promise<Store | undefined>, work: () => Promise<T>): Promise<T>;
	drain(how: DrainRequest, endStreams: (how: { readonly graceMs: number }) => Promise<void>): Promise<void>;
	close(): Promise<void>;
}

export interface SessionsDeps {
	openStore(): Promise<Store>;
	/** Read when the store is opened: until then a reload may change them. */
	readonly options: SessionRegistryOptions;
	readonly namespace: string;
	readonly instance: string;
	readonly clock: Clock;
	readonly ids: Ids;
	readonly random: () => number;
	report(error: FanoutError): void;
	hasStreams(session: Channel): boolean;
	/** Ends the sessions' streams here with `moved`. */
	endStreams(sessions: readonly Channel[]): void;
}

export function createSessions(deps: SessionsDeps): FanoutSessions {
	const { namespace, instance, clock, ids, random, report } = deps;
	const listeners = new Set<(sessions: readonly Channel[]) => void>();
	const uses = createUses(clock);
	let owner: Owner | undefined;
	let registry: Registry | undefined;
	let kept: ExchangedStore | undefined;
	let opening: Promise<Registry> | undefined;
	let owning: Promise<Owner> | undefined;
	let closing: Promise<void> | undefined;
	/** The last exchange: resolves after whoever began it has heard of its end. Never rejects. */
	let exchanging: Promise<void> | undefined;
	/** Set while a drain runs. */
	let release: ((session: Channel) => void) | undefined;

	function lost(sessions: readonly Channel[]): void {
		deps.endStreams(sessions);
		for (const listener of listeners) {
			try {
				listener(sessions);
			} catch (error) {
				report(asFanoutError(error, "Unsupported", "a listener of lost sessions threw"));
			}
		}
	}

	async function begin(before: Promise<void> | undefined): Promise<Registry> {
		const [{ createRegistry }, { createExchangedStore }] = await Promise.all([
			import("./registry.ts"),
			import("./exchanged-store.ts"),
		]);
		await before;
		const { options } = deps;
		const { timeoutMs = DEFAULT_REGISTRY_TIMEOUT_MS } = options;
		const store = createExchangedStore(await deps.openStore(), { clock, timeoutMs, report });
		const made = createRegistry({ store, namespace, clock, ids, timeoutMs, onerror: report });
		try {
			await made.start();
			registry = made;
			kept = store;
			return made;
		} catch (error) {
			// One that was given is the only one there is: the next use starts it again.
			if (typeof options.store !== "object") await made.close();
			throw error;
		}
	}

	async function open(): Promise<Registry> {
		if (closing !== undefined) throw new FanoutError("Closed", "the fanout is closed");
		// Where the store is may be about to change; an exchange that begins later waits for this in its turn.
		opening ??= begin(exchanging).catch((error: unknown) => {
			// A store that is away for a moment: the next use tries again.
			opening = undefined;
			throw error;
		});
		return opening;
	}

	async function beginTerm(): Promise<Owner> {
		const [{ createOwner }, registry] = await Promise.all([import("./owner.ts"), open()]);
		const { leaseMs, maxOwned: maxHolds } = deps.options;
		const how = { registry, instance, clock, random, leaseMs, maxHolds, onlost: lost, onerror: report };
		const made = createOwner(how);
		await made.start();
		owner = made;
		return made;
	}

	async function own(): Promise<Owner> {
		if (closing !== undefined) throw new FanoutError("Closed", "the fanout is closed");
		owning ??= beginTerm().catch((error: unknown) => {
			owning = undefined;
			throw error;
		});
		return owning;
	}

	async function exchange<T>(open: () => Promise<Store | undefined>, work: () => Promise<T>): Promise<T> {
		await standing(opening);
		const next = kept && (await open());
		try {
			await next?.start(AbortSignal.timeout(deps.options.timeoutMs ?? DEFAULT_REGISTRY_TIMEOUT_MS));
			const done = await work();
			if (next !== undefined) kept?.exchange(next);
			return done;
		} catch (error) {
			await next?.close();
			throw error;
		}
	}

	/** What was begun, without beginning anything. */
	async function standing<T>(begun: Promise<T> | undefined): Promise<T | undefined> {
		try {
			return await begun;
		} catch {
			// Told to whoever began it.
			return undefined;
		}
	}

	async function drainOwned(owned: Owner, graceMs: number, endStreams: (graceMs: number) => Promise<void>) {
		const { drainSessions } = await import("./drain.ts");
		const from = clock.monotonic();
		await drainSessions({
			...{ owner: owned, clock, graceMs, onerror: report },
			async endStreams(how, ended) {
				release = (session) => {
					if (!deps.hasStreams(session) && !uses.has(session)) ended(session);
				};
				for (const session of owned.sessions()) release(session);
				await endStreams(how.graceMs);
				await uses.over(graceMs - (clock.monotonic() - from));
			},
		});
	}

	return {
		get isOpen() {
			return opening !== undefined;
		},
		registry: open,
		claim: async (session, how) => (await own()).claim(session, how),
		held: (session) => owner?.held(session),
		use(session) {
			return uses.begin(session, () => release?.(session));
		},
		onlost(listener) {
			const own = (sessions: readonly Channel[]) => listener(sessions);
			listeners.add(own);
			return () => void listeners.delete(own);
		},
		get owned() {
			return owner?.size ?? 0;
		},
		left: (session) => release?.(session),
		rest: () => registry?.rest(),
		exchange(open, work) {
			const exchanged = exchange(open, work);
			const over = () => undefined;
			exchanging = exchanged.then(over, over);
			return exchanged;
		},
		drain(how, endStreams) {
			// At once, or the fanout would hold itself for drained.
			checkDrain(how);
			return (async () => {
				const graceMs = await giveNotice(how, clock);
				const owned = await standing(owning);
				if (owned === undefined) await endStreams({ graceMs });
				else await drainOwned(owned, graceMs, (left) => endStreams({ graceMs: left }));
			})();
		},
		close() {
			closing ??= (async () => {
				await (await standing(owning))?.retire();
				await (await standing(opening))?.close();
			})();
			return closing;
		},
	};
}
