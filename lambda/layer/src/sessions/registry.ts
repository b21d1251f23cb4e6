/** The registry over a store: deadlines, bounds, compare-and-set with few retries. The contract is in port.ts. */
import { fullJitter } from "../core/backoff.ts";
import { type Channel, createChannel } from "../core/channel.ts";
import { afterLooking, type Clock, pause } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Ids } from "../core/ids.ts";
import { DEFAULT_REGISTRY_TIMEOUT_MS } from "./limits.ts";
import { readPage } from "./pages.ts";
import type { Basis, Claim, Held, Opening, Patch, Registry } from "./port.ts";
import {
	boundedJson,
	checkPrincipal,
	decodeSession,
	encodeSession,
	MAX_FACTS_BYTES,
	MAX_STATE_BYTES,
	type SessionRecord,
	type Term,
	WRITTEN_RECORD_VERSION,
} from "./record.ts";
import type { Row, Store } from "./store.ts";
import { createTerms } from "./terms.ts";
import { watchRecords } from "./watch.ts";

/** Writers of one row that meet: each round one of them wins. */
export const MAX_WRITE_RACES = 8;
const RACE_BACKOFF = { baseMs: 2, capMs: 50 };
const MAX_INSTANCE_BYTES = 128;

export interface RegistryOptions {
	readonly store: Store;
	/** `cluster_id`: a registry sees the sessions of its own only. */
	readonly namespace: string;
	readonly clock: Clock;
	readonly ids: Ids;
	/** Deadline of one call, its retries included. */
	readonly timeoutMs?: number | undefined;
	/** Told of records that cannot be read, and of watches that fail. */
	readonly onerror?: ((error: FanoutError) => void) | undefined;
}

const isHeld = (basis: Basis): basis is Held => "term" in basis;

export function createRegistry(options: RegistryOptions): Registry {
	const { store, namespace, clock, ids } = options;
	const timeoutMs = options.timeoutMs ?? DEFAULT_REGISTRY_TIMEOUT_MS;
	const report = options.onerror ?? (() => {});
	const mint = () => ids.next();
	const terms = createTerms({ store, namespace, clock, mint });
	// Of many that come at once each has its answer read when all have been seen to.
	const patient: Pick<Clock, "after"> = { after: (...wait) => afterLooking(clock, ...wait) };
	let closing: Promise<void> | undefined;

	async function call<T>(what: string, task: (signal: AbortSignal) => Promise<T>, outer?: AbortSignal): Promise<T> {
		if (closing !== undefined) throw new FanoutError("Closed", "the session registry is closed");
		try {
			return await withDeadline(patient, timeoutMs, `${what} of the ${store.name} registry`, task, outer);
		} catch (error) {
			throw asFanoutError(error, "TransportUnavailable", `${what} of the ${store.name} registry failed`, true);
		}
	}

	function own(session: Channel): Channel {
		if (session.kind === "session" && session.namespace === namespace) return session;
		throw new FanoutError(
			"InvalidChannel",
			`this registry keeps sessions of the namespace ${namespace}: createChannel("session", id, { namespace })`,
		);
	}

	const scopeOf = (tenant: string) => {
		// The channel's check of the parts, before a backend sees them.
		createChannel("all", "", { namespace, tenant });
		return { namespace, tenant };
	};
	const rowOf = (record: SessionRecord): Row => ({ version: mint(), text: encodeSession(record) });

	/** Read, decide, compare-and-set; again when another writer was faster. `decide` throws what ends it. */
	async function race<T>(
		signal: AbortSignal,
		session: Channel,
		round: (row: Row | undefined) => Promise<T | undefined>,
	) {
		for (let count = 0; count < MAX_WRITE_RACES; count += 1) {
			const done = await round(await store.read(session, signal));
			if (done !== undefined) return done;
			await pause(
				clock,
				fullJitter(count, RACE_BACKOFF, () => ids.random32() / 2 ** 32),
				signal,
			);
			signal.throwIfAborted();
		}
		throw new FanoutError("Conflict", `lost ${MAX_WRITE_RACES} races for a session's record`, { retryable: true });
	}

	/** The record that the basis may write over. */
	function standing(basis: Basis, row: Row | undefined): SessionRecord {
		const record = row === undefined ? undefined : decodeSession(row.text, row.version);
		if (isHeld(basis)) {
			if (record?.claim === basis.claim && record.owner?.id === basis.term.id) return record;
			const epoch = record?.epoch;
			throw new FanoutError("NotOwner", "the session has another owner, or is gone", {
				data: { heldEpoch: basis.epoch, epoch },
			});
		}
		if (record !== undefined && record.version === basis.version) return record;
		throw new FanoutError("Conflict", "the session's record changed since it was read", { retryable: true });
	}

	async function rewrite(basis: Basis, change: (record: SessionRecord) => SessionRecord, signal: AbortSignal) {
		const session = own(basis.session);
		return race(signal, session, async (row) => {
			const next = change(standing(basis, row));
			const written = await store.write(session, rowOf(next), row, signal);
			return written && { ...next, version: written.version };
		});
	}

	function opened({ principal, facts, state }: Opening) {
		return {
			principal: checkPrincipal(principal),
			facts: boundedJson("facts", facts, MAX_FACTS_BYTES),
			state: boundedJson("state", state, MAX_STATE_BYTES),
		};
	}

	async function create(session: Channel, opening: Opening, signal: AbortSignal): Promise<SessionRecord> {
		const now = clock.now();
		const times = { createdAt: now, touchedAt: now };
		const made = { ...opened(opening), ...times, epoch: 1, claim: mint(), owner: undefined, unknown: {} };
		const record = { v: WRITTEN_RECORD_VERSION, session: own(session), version: "", ...made };
		const row = rowOf(record);
		const written = await store.write(session, row, undefined, signal);
		// A client of the store that heard no answer may have tried again, and found what it had written itself.
		const standing = written ?? (await store.read(session, signal));
		if (standing?.text === row.text) return { ...record, version: standing.version };
		throw new FanoutError("Conflict", "the session has a record already");
	}

	async function claim(session: Channel, term: Term, opening: Opening, signal: AbortSignal): Promise<Claim> {
		const { principal, facts, state } = opened(opening);
		return race<Claim>(signal, own(session), async (row) => {
			const now = clock.now();
			const old = row === undefined ? undefined : decodeSession(row.text, row.version);
			if (old !== undefined && old.principal !== principal) {
				throw new FanoutError("ScopeRequired", "the session is another principal's");
			}
			if (old?.owner !== undefined && old.owner.id !== term.id) {
				const waitMs = await terms.seize(old.owner, signal);
				if (waitMs > 0) return { ok: false, owner: old.owner, waitMs };
			}
			const fresh = { v: WRITTEN_RECORD_VERSION, session, principal, facts, state, createdAt: now, unknown: {} };
			const epoch = (old?.epoch ?? 0) + 1;
			const record = { ...(old ?? fresh), version: "", epoch, claim: mint(), owner: term, touchedAt: now };
			const written = await store.write(session, rowOf(record), row, signal);
			if (written === undefined) return undefined;
			const held = { session, epoch, claim: record.claim, term };
			return { ok: true, held, record: { ...record, version: written.version }, created: old === undefined };
		});
	}

	/** Else its owner would go on acting for a session that somebody else may open anew. */
	async function mustSeize(owner: Term, signal: AbortSignal): Promise<void> {
		const waitMs = await terms.seize(owner, signal);
		if (waitMs === 0) return;
		throw new FanoutError("Conflict", "the session has a living owner: ask it", {
			retryable: true,
			data: { owner: owner.instance, waitMs },
		});
	}

	return {
		name: store.name,
		namespace,
		retentionMs: store.retentionMs,
		start: (signal) => call("start", (inner) => store.start(inner), signal),
		async enlist(instance, leaseMs, signal) {
			if (typeof instance !== "string" || instance === "" || Buffer.byteLength(instance) > MAX_INSTANCE_BYTES) {
				throw new FanoutError("ConfigInvalid", `an instance id is a string of at most ${MAX_INSTANCE_BYTES} bytes`);
			}
			if (!(leaseMs > 0 && leaseMs <= store.retentionMs / 4)) {
				throw new FanoutError("ConfigInvalid", `leaseMs must be positive and at most a quarter of retentionMs`, {
					data: { leaseMs, retentionMs: store.retentionMs },
				});
			}
			const term: Term = { instance, id: mint(), leaseMs };
			return call("enlist", (inner) => terms.enlist(term, inner), signal);
		},
		renew: (lease, signal) => call("renew", (inner) => terms.renew(lease, inner), signal),
		retire: (lease, signal) => call("retire", (inner) => terms.retire(lease, inner), signal),
		standing: (term, signal) => call("standing", (inner) => terms.standing(term, inner), signal),
		create: (session, opening = {}, signal) => call("create", (inner) => create(session, opening, inner), signal),
		claim: (session, term, opening = {}, signal) =>
			call("claim", (inner) => claim(session, term, opening, inner), signal),
		async release(held, signal) {
			const free = (record: SessionRecord) => ({ ...record, owner: undefined, touchedAt: clock.now() });
			await call("release", (inner) => rewrite(held, free, inner), signal);
		},
		get: (session, signal) =>
			call(
				"get",
				async (inner) => {
					const row = await store.read(own(session), inner);
					return row && decodeSession(row.text, row.version);
				},
				signal,
			),
		update: (basis, patch: Patch, signal) =>
			call(
				"update",
				async (inner) => {
					const { facts, state } = patch;
					const changes = {
						...(facts !== undefined && { facts: boundedJson("facts", facts, MAX_FACTS_BYTES) }),
						...(state !== undefined && { state: boundedJson("state", state, MAX_STATE_BYTES) }),
					};
					return rewrite(basis, (record) => ({ ...record, ...changes, touchedAt: clock.now() }), inner);
				},
				signal,
			),
		async remove(basis, signal) {
			const session = own(basis.session);
			let isTried = false;
			await call(
				"remove",
				(inner) =>
					race(inner, session, async (row) => {
						// A client of the store that heard no answer may have tried again, and found nothing any more.
						if (isTried && row === undefined) return true;
						const record = standing(basis, row);
						if (!isHeld(basis) && record.owner !== undefined) await mustSeize(record.owner, inner);
						isTried = true;
						return (row !== undefined && (await store.remove(session, row, inner))) || undefined;
					}),
				signal,
			);
		},
		count: (tenant, signal) => call("count", (inner) => store.count(scopeOf(tenant), inner), signal),
		list: (tenant, page = {}, signal) =>
			call("list", (inner) => readPage(store, scopeOf(tenant), page, report, inner), signal),
		watch: (tenant, listener, signal) =>
			call(
				"watch",
				(inner) => watchRecords({ store, clock, timeoutMs, report }, scopeOf(tenant), listener, inner),
				signal,
			),
		rest: () => store.rest?.(),
		close() {
			closing ??= store.close();
			return closing;
		},
	};
}
