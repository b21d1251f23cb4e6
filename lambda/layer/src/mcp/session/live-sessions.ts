/**
 * The sessions that this process serves now, each once however many requests come for it. One that is not here is
 * taken over from the registry; one that is here is looked up again at most every VERIFY_MS while it is used, so that
 * one that ended elsewhere ends here even when nobody could say so. The registry's silence ends nothing.
 */
import type { Channel } from "../../core/channel.ts";
import { withDeadline } from "../../core/deadline.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { BUILD_TIMEOUT_MS, type LiveDeps, LiveSession, type Visit } from "./live-session.ts";
import { refuseFailed, refuseForNow, sessionNotFound } from "./refusal.ts";
import type { StoredSession } from "./store.ts";

export const VERIFY_MS = 1_000;
export const DEFAULT_MAX_LIVE = 10_000;

export class LiveSessions {
	readonly #deps: LiveDeps;
	readonly #max: number;
	/** By key, the least recently used first. */
	readonly #live = new Map<string, LiveSession>();
	readonly #adopting = new Map<string, Promise<LiveSession | Response>>();
	#isClosed = false;

	constructor(deps: Omit<LiveDeps, "ended">, max: number) {
		this.#deps = { ...deps, ended: (session) => this.#remove(session) };
		this.#max = max;
	}

	get size(): number {
		return this.#live.size;
	}

	get busy(): number {
		let busy = 0;
		for (const { transport } of this.#live.values()) if (transport.isBusy) busy += 1;
		return busy;
	}

	find(channel: Channel): LiveSession | undefined {
		return this.#live.get(channel.key);
	}

	all(): LiveSession[] {
		return [...this.#live.values()];
	}

	/** A session of its own client, not in the registry yet. */
	begin(channel: Channel, principal: string | undefined): LiveSession {
		this.#makeRoom();
		const session = new LiveSession(this.#deps, channel, principal);
		this.#live.set(channel.key, session);
		return session;
	}

	/** The session for a request of this principal, taken over if it must be; or the answer when it cannot be had. */
	async visit(channel: Channel, principal: string | undefined, visit: Visit): Promise<LiveSession | Response> {
		const { key } = channel;
		const known = this.#live.get(key);
		if (known?.isReady === true) {
			await this.#verify(known);
			// One that was put to rest meanwhile is taken over again.
			if (!known.isEnded || known.isGone) return this.#enter(known, principal);
		}
		// By principal as well: who is refused is refused alone.
		const name = `${key} ${principal ?? ""}`;
		let adopting = this.#adopting.get(name);
		if (adopting === undefined) {
			adopting = this.#adopt(channel, principal, visit).finally(() => this.#adopting.delete(name));
			this.#adopting.set(name, adopting);
		}
		const adopted = await adopting;
		return adopted instanceof Response ? adopted.clone() : this.#enter(adopted, principal);
	}

	/** Ends all of them here, and takes none from now on: nobody would end one that a late lookup brought. */
	async close(why: string): Promise<void> {
		this.#isClosed = true;
		await this.rest(why);
	}

	/** None is at work here any more; each can be taken over again. */
	async rest(why: string): Promise<void> {
		await Promise.all(this.all().map((session) => session.end(why)));
	}

	/** Its record is gone. */
	async end(channel: Channel): Promise<void> {
		const session = this.#live.get(channel.key);
		if (session !== undefined) await this.#gone(session);
	}

	/** Looks all of them up again; those that nobody used for `idleMs` are let go here. */
	async sweep(idleMs: number): Promise<void> {
		for (const session of this.all()) {
			// To be looked after is not to be used: it may expire meanwhile.
			const usedAgoMs = session.transport.isBusy ? 0 : this.#deps.host.clock.monotonic() - session.usedAt;
			if (usedAgoMs > idleMs) await session.end();
			else await this.#lookUp(session, usedAgoMs);
		}
	}

	#enter(session: LiveSession, principal: string | undefined): LiveSession | Response {
		// To whom it does not belong it is not there: an id that leaked tells nothing.
		if (session.isGone || session.principal !== principal) return sessionNotFound();
		// It was put to rest in this very moment, and can be taken over again.
		if (session.isEnded) return refuseForNow("the session rests here now: try again");
		session.usedAt = this.#deps.host.clock.monotonic();
		this.#live.delete(session.channel.key);
		this.#live.set(session.channel.key, session);
		return session;
	}

	async #adopt(channel: Channel, principal: string | undefined, visit: Visit): Promise<LiveSession | Response> {
		const { host, store } = this.#deps;
		let stored: StoredSession | undefined;
		try {
			stored = await store.read(channel);
		} catch (error) {
			host.report(asFanoutError(error, "TransportUnavailable", "a session could not be looked up"));
			// Not 404: the client would give its session up.
			return refuseForNow("the session registry cannot be reached now: try again");
		}
		if (stored === undefined || stored.principal !== principal) return sessionNotFound();
		let session: LiveSession | undefined;
		try {
			this.#makeRoom();
			session = new LiveSession(this.#deps, channel, principal, stored);
			this.#live.set(channel.key, session);
			const taken = session;
			const found = stored;
			const what = "taking a session over";
			taken.isReady = await withDeadline(host.clock, BUILD_TIMEOUT_MS, what, () => taken.adopt(found, visit));
			if (taken.isReady) return taken;
			await taken.end();
			return sessionNotFound();
		} catch (error) {
			await session?.end();
			// It ended everywhere meanwhile, which is no failure.
			if (session?.isGone === true) return sessionNotFound();
			const failure = asFanoutError(error, "Unsupported", "a session could not be taken over");
			host.report(failure);
			return refuseFailed(failure);
		}
	}

	async #verify(session: LiveSession): Promise<void> {
		if (this.#deps.host.clock.monotonic() - session.verifiedAt >= VERIFY_MS) await this.#lookUp(session);
	}

	async #lookUp(session: LiveSession, usedAgoMs = 0): Promise<void> {
		const { host, store } = this.#deps;
		// Others that come meanwhile need not ask as well.
		session.verifiedAt = host.clock.monotonic();
		try {
			const before = session.stored;
			const stored = await store.read(session.channel, usedAgoMs);
			// What came meanwhile may be newer than what was read.
			if (stored !== undefined && session.stored === before) session.refresh(stored);
			else if (stored === undefined && session.isReady) await this.#gone(session);
		} catch (error) {
			host.report(asFanoutError(error, "TransportUnavailable", "a session could not be looked up"));
		}
	}

	async #gone(session: LiveSession): Promise<void> {
		session.isGone = true;
		await session.end();
	}

	#makeRoom(): void {
		if (this.#isClosed) throw new FanoutError("Closed", "this process serves no sessions any more");
		if (this.#live.size < this.#max) return;
		for (const session of this.#live.values()) {
			if (!session.isReady || session.transport.isBusy) continue;
			// It can be taken over again.
			void session.end();
			return;
		}
		throw new FanoutError("QueueFull", `${this.#max} sessions are at work in this process, the most accepted`, {
			retryable: true,
			data: { maxSessions: this.#max },
		});
	}

	#remove(session: LiveSession): void {
		if (this.#live.get(session.channel.key) === session) this.#live.delete(session.channel.key);
	}
}
