/**
 * The owner's side of one instance: one term, renewed while it lives, and the sessions held under it. It fences
 * itself: `acting` turns false before anybody could take its sessions, whatever the store or the network does, and
 * true again only when a renewal shows that nobody did. A term that was taken is lost for good: its sessions are
 * told to `onlost`, and a new term is begun. Ask `hold.acting` right before each act.
 */
import { fullJitter } from "../core/backoff.ts";
import type { Channel } from "../core/channel.ts";
import { type Clock, pause, type Timer } from "../core/clock.ts";
import { asFanoutError, FanoutError, isFanoutError } from "../core/errors.ts";
import { onAbort } from "../core/on-abort.ts";
import { createGate } from "./gate.ts";
import { createHold, type Hold, type HoldTable, type KeptHold } from "./hold.ts";
import { DEFAULT_LEASE_MS, DEFAULT_MAX_HOLDS } from "./limits.ts";
import { createOrphans } from "./orphans.ts";
import type { Opening, Registry } from "./port.ts";
import type { SessionRecord, Term } from "./record.ts";
import { elapsedSince, instantOf, type Lease } from "./terms.ts";

/** The part of a lease in which its owner still acts; the rest is for clocks that run at different rates and for acts under way. */
export const ACTING_PART = 0.85;
const RENEWALS_PER_LEASE = 4;
/** Least sessions that one renewal may write again because their rows grow old. */
const MIN_TOUCHED = 10;
/** Claims under way at once: many that wait for sessions to be released must not keep the store from releasing them. */
export const MAX_CLAIMS_AT_ONCE = 64;
const POLL = { firstMs: 20, capMs: 500 };

export interface OwnerOptions {
	readonly registry: Registry;
	readonly instance: string;
	readonly clock: Clock;
	/** In [0, 1). */
	readonly random: () => number;
	readonly leaseMs?: number | undefined;
	readonly maxHolds?: number | undefined;
	/** Sessions that somebody else may own now. */
	readonly onlost?: ((sessions: readonly Channel[]) => void) | undefined;
	readonly onerror?: ((error: FanoutError) => void) | undefined;
}

export interface ClaimOptions extends Opening {
	/** How long to wait for an owner to release, or to be found dead; default not at all. */
	readonly waitMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
}

export interface Claimed {
	readonly hold: Hold;
	readonly record: SessionRecord;
	/** True when this claim made the record. */
	readonly created: boolean;
}

export interface Owner {
	/** The term stands when it resolves. */
	start(signal?: AbortSignal): Promise<void>;
	readonly acting: boolean;
	readonly size: number;
	/** Throws Conflict (retryable, `waitMs` in its data) while another instance owns the session. */
	claim(session: Channel, options?: ClaimOptions): Promise<Claimed>;
	held(session: Channel): Hold | undefined;
	/** What is held, as it is now. */
	sessions(): Channel[];
	/** No new claims; what is held stays held. */
	refuse(): void;
	/** Stops acting, and ends the term by one write: every session of it may be claimed at once. Idempotent. */
	retire(signal?: AbortSignal): Promise<void>;
}

export function createOwner(options: OwnerOptions): Owner {
	const { registry, instance, clock, random } = options;
	const leaseMs = options.leaseMs ?? DEFAULT_LEASE_MS;
	const maxHolds = options.maxHolds ?? DEFAULT_MAX_HOLDS;
	const actingMs = leaseMs * ACTING_PART;
	const holds = new Map<string, KeptHold>();
	const claims = new Map<string, Promise<unknown>>();
	const stop = new AbortController();
	const gate = createGate(MAX_CLAIMS_AT_ONCE);
	let lease: Lease | undefined;
	let timer: Timer | undefined;
	let refusing = false;
	let touching = false;
	let retiring: Promise<void> | undefined;

	const report = (error: unknown, what: string) =>
		options.onerror?.(asFanoutError(error, "TransportUnavailable", what, true));
	const standsFor = (term: Term | undefined) =>
		lease !== undefined &&
		lease.term.id === term?.id &&
		retiring === undefined &&
		elapsedSince(clock, lease.askedAt) < actingMs;

	function lost(sessions: readonly Channel[]): void {
		if (sessions.length === 0) return;
		try {
			options.onlost?.(sessions);
		} catch (error) {
			report(error, "a listener of lost sessions threw");
		}
	}

	function loseTerm(): void {
		lease = undefined;
		orphans.clear();
		const sessions = [...holds.values()].map(({ session }) => session);
		holds.clear();
		lost(sessions);
	}

	/** Renews, or begins anew, for as long as the owner lives. */
	function schedule(ms: number, failures: number): void {
		if (stop.signal.aborted) return;
		timer = clock.after(ms, () => void beat(failures));
	}

	async function beat(failures: number): Promise<void> {
		try {
			const renewed =
				lease === undefined ? registry.enlist(instance, leaseMs, stop.signal) : registry.renew(lease, stop.signal);
			const standing = await renewed;
			if (stop.signal.aborted) return;
			lease = standing;
			schedule(leaseMs / RENEWALS_PER_LEASE, 0);
			await touch();
			if (!refusing) await orphans.giveBack().catch((error: unknown) => report(error, "a session was not given back"));
		} catch (error) {
			if (stop.signal.aborted) return;
			report(error, "the lease of this instance was not renewed");
			if (isFanoutError(error, "NotOwner")) loseTerm();
			const limits = { baseMs: leaseMs / 50, capMs: leaseMs / RENEWALS_PER_LEASE };
			schedule(fullJitter(failures, limits, random), failures + 1);
		}
	}

	/** A row goes when it was not written for the retention: a session that only listens is written here. */
	async function touch(): Promise<void> {
		if (touching) return;
		touching = true;
		// Nobody acts for them any more, as after a wall clock was set right by a day: whoever wants one claims it again.
		const stale = [...holds.values()].filter(({ isFresh }) => !isFresh).map(({ session }) => session);
		for (const { key } of stale) holds.delete(key);
		lost(stale);
		// All of them within the second quarter of the retention, also when all were claimed at once.
		let left = Math.max(MIN_TOUCHED, Math.ceil((holds.size * leaseMs) / registry.retentionMs));
		for (const hold of holds.values()) {
			if (left === 0 || stop.signal.aborted) break;
			if (hold.age < registry.retentionMs / 4 || !hold.acting) continue;
			left -= 1;
			await hold.update({}).catch((error: unknown) => report(error, "a session's row was not touched"));
		}
		touching = false;
	}

	const table: HoldTable = {
		registry,
		clock,
		stands: (term) => standsFor(term),
		find: (key) => holds.get(key),
		drop: (key) => void holds.delete(key),
		lost: (session) => lost([session]),
		unheard: (session) => orphans.add(session),
	};
	const orphans = createOrphans({
		registry,
		claim: (session, opening) => claim(session, opening),
		isWanted: ({ key }) => holds.has(key) || claims.has(key),
	});

	async function claimOnce(session: Channel, opening: Opening, signal: AbortSignal | undefined) {
		if (refusing) throw new FanoutError("Closed", "this instance takes no more sessions");
		const term = lease?.term;
		if (term === undefined || !standsFor(term)) {
			throw new FanoutError("NotOwner", "the lease of this instance does not stand now", { retryable: true });
		}
		// One that may be owned is claimed in its own place.
		const others = orphans.size - (orphans.has(session) ? 1 : 0);
		if (holds.size + claims.size + others > maxHolds) {
			throw new FanoutError("QueueFull", `this instance owns at most ${maxHolds} sessions`, { data: { maxHolds } });
		}
		const askedAt = instantOf(clock);
		const claim = await gate.run(() => {
			// In its turn, and nobody waits for it any more: the store was not asked.
			if (signal?.aborted) throw gaveUp(signal);
			return registry.claim(session, term, opening, signal).catch((error: unknown) => {
				if (isUnheard(error)) orphans.add(session, opening.principal);
				throw error;
			});
		});
		orphans.delete(session);
		if (!claim.ok) return claim;
		// A term that ended meanwhile leaves a record that anybody may claim at once.
		if (lease?.term.id !== term.id || retiring !== undefined) {
			throw new FanoutError("NotOwner", "the lease of this instance ended while it claimed", { retryable: true });
		}
		const hold = createHold(table, claim.held, askedAt);
		holds.set(session.key, hold);
		return { ok: true as const, hold, record: claim.record, created: claim.created };
	}

	async function claimWithin(session: Channel, { waitMs = 0, signal, ...opening }: ClaimOptions): Promise<Claimed> {
		const from = clock.monotonic();
		for (let pollMs = POLL.firstMs; ; pollMs = Math.min(pollMs * 2, POLL.capMs)) {
			const claim = await claimOnce(session, opening, signal);
			if (claim.ok) return { hold: claim.hold, record: claim.record, created: claim.created };
			const left = waitMs - (clock.monotonic() - from);
			if (left <= 0 || signal?.aborted || stop.signal.aborted) {
				const wait = Math.ceil(claim.waitMs);
				throw new FanoutError(
					"Conflict",
					`another instance owns the session; it may be taken in ${wait} ms of silence`,
					{
						retryable: true,
						data: { owner: claim.owner.instance, waitMs: wait },
					},
				);
			}
			await pause(clock, Math.min(pollMs, claim.waitMs, left), signal ?? stop.signal);
		}
	}

	async function claim(session: Channel, claimOptions: ClaimOptions): Promise<Claimed> {
		const { signal } = claimOptions;
		if (signal?.aborted) throw gaveUp(signal);
		// One after another for one session: two claims of one term would end each other's hold.
		const before = claims.get(session.key);
		const own = (before ?? Promise.resolve()).then(() => claimWithin(session, claimOptions));
		const settled = own.then(
			() => {},
			() => {
				// Told to whoever asked; the next in line only waits.
			},
		);
		claims.set(session.key, settled);
		void settled.then(() => claims.get(session.key) === settled && claims.delete(session.key));
		if (signal === undefined) return own;
		// Who gives up waits no longer, not for its turn either, which comes all the same.
		const gone = Promise.withResolvers<never>();
		const forget = onAbort(signal, () => gone.reject(gaveUp(signal)));
		return Promise.race([own, gone.promise]).finally(forget);
	}

	return {
		async start(signal) {
			if (lease !== undefined || retiring !== undefined) throw new FanoutError("Closed", "an owner starts once");
			lease = await registry.enlist(instance, leaseMs, signal);
			schedule(leaseMs / RENEWALS_PER_LEASE, 0);
		},
		get acting() {
			return standsFor(lease?.term);
		},
		get size() {
			return holds.size;
		},
		claim: (session, claimOptions = {}) => claim(session, claimOptions),
		held: (session) => holds.get(session.key),
		sessions: () => [...holds.values()].map(({ session }) => session),
		refuse() {
			refusing = true;
		},
		retire(signal) {
			refusing = true;
			retiring ??= (async () => {
				stop.abort();
				timer?.cancel();
				holds.clear();
				if (lease === undefined) return;
				try {
					await registry.retire(lease, signal);
				} catch (error) {
					// Taken already is as good; else the lease runs out by itself.
					if (!isFanoutError(error, "NotOwner")) report(error, "the lease was not given back");
				}
			})();
			return retiring;
		},
	};
}

function gaveUp({ reason }: AbortSignal): FanoutError {
	return new FanoutError("Aborted", "the claim was aborted", { cause: reason });
}

/** The store may have done what it was asked. */
function isUnheard(error: unknown): boolean {
	return isFanoutError(error) && (error.retryable || error.code === "Aborted");
}
