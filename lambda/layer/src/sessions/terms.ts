/**
 * Terms: the leases of instances, one row each, however many sessions hang on it. An owner counts its lease from
 * before it asked (`Lease.askedAt`); an observer counts from after it saw a version, and fences a term whose version
 * did not change for a whole lease on the observer's own clock. Renewal and fencing compare-and-set the same row, so
 * only one of them can win. A term that ended never stands again.
 */
import type { Channel } from "../core/channel.ts";
import { createChannel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { decodeTerm, encodeTerm, type Term, type TermRecord, type TermState } from "./record.ts";
import type { Row, Store } from "./store.ts";

/** Owners that are watched for life, and ended terms that are remembered; beyond it the oldest is forgotten. */
export const MAX_OBSERVED = 10_000;
const MAX_RACES = 4;

export interface Lease {
	readonly term: Term;
	readonly row: Row;
	/** By the owner's clocks, before the store was asked: the lease ends `leaseMs` after it at the latest. */
	readonly askedAt: Instant;
}

/** Two readings of one machine. Monotonic time may stand still while a machine sleeps; wall time shows the sleep. */
export interface Instant {
	readonly monotonic: number;
	readonly wall: number;
}

export const instantOf = (clock: Clock): Instant => ({ monotonic: clock.monotonic(), wall: clock.now() });

/** How long ago by whichever clock says longer: a clock that jumps can only end a lease early. */
export function elapsedSince(clock: Clock, { monotonic, wall }: Instant): number {
	return Math.max(clock.monotonic() - monotonic, clock.now() - wall);
}

export interface Terms {
	enlist(term: Term, signal: AbortSignal): Promise<Lease>;
	/** Throws NotOwner when the term was fenced, retired or lost. */
	renew(lease: Lease, signal: AbortSignal): Promise<Lease>;
	/** Ends the term: what it owned may be claimed at once. */
	retire(lease: Lease, signal: AbortSignal): Promise<void>;
	standing(term: Term, signal: AbortSignal): Promise<TermState>;
	/** Ends another's term if it may be ended; else how long it has to stay silent for that. 0: it is over. */
	seize(term: Term, signal: AbortSignal): Promise<number>;
}

export interface TermsOptions {
	readonly store: Store;
	readonly namespace: string;
	readonly clock: Clock;
	readonly mint: () => string;
}

function remember<Key, Value>(map: Map<Key, Value>, key: Key, value: Value): void {
	map.delete(key);
	map.set(key, value);
	for (const oldest of map.keys()) {
		if (map.size <= MAX_OBSERVED) break;
		map.delete(oldest);
	}
}

export function createTerms({ store, namespace, clock, mint }: TermsOptions): Terms {
	const observed = new Map<string, { readonly version: string | undefined; readonly since: number }>();
	const over = new Map<string, true>();
	const placeOf = (term: Term): Channel => createChannel("instance", term.id, { namespace });
	const lost = (term: Term, why: string) =>
		new FanoutError("NotOwner", `the term of instance ${term.instance} ${why}`, { data: { instance: term.instance } });
	const rowOf = (record: TermRecord): Row => ({ version: mint(), text: encodeTerm(record) });

	/** Writes over the own row. A lost race is the own write that was not answered, or somebody's fence. */
	async function rewrite(lease: Lease, state: "live" | "retired", signal: AbortSignal): Promise<Lease> {
		const { term } = lease;
		let expected = lease.row;
		for (let race = 0; race < MAX_RACES; race += 1) {
			const askedAt = instantOf(clock);
			const row = await store.write(placeOf(term), rowOf({ ...term, state }), expected, signal);
			if (row !== undefined) return { term, row, askedAt };
			const found = await store.read(placeOf(term), signal);
			if (found === undefined) throw lost(term, "is gone from the registry");
			const record = decodeTerm(found.text);
			if (record.state === "retired" && state === "retired") return { ...lease, row: found };
			if (record.state !== "live") throw lost(term, `was ${record.state}`);
			expected = found;
		}
		throw new FanoutError("Conflict", `lost ${MAX_RACES} races for the own term`, { retryable: true });
	}

	return {
		async enlist(term, signal) {
			const askedAt = instantOf(clock);
			const own = rowOf({ ...term, state: "live" });
			const written = await store.write(placeOf(term), own, undefined, signal);
			// A client of the store that heard no answer may have tried again, and found what it had written itself.
			const row = written ?? (await store.read(placeOf(term), signal));
			if (row?.version !== own.version) throw lost(term, "was enlisted before");
			return { term, row, askedAt };
		},
		renew: (lease, signal) => rewrite(lease, "live", signal),
		async retire(lease, signal) {
			await rewrite(lease, "retired", signal);
			remember(over, lease.term.id, true);
		},
		async standing(term, signal) {
			const row = await store.read(placeOf(term), signal);
			return row === undefined ? "gone" : decodeTerm(row.text).state;
		},
		async seize(term, signal) {
			if (over.has(term.id)) return 0;
			const place = placeOf(term);
			const row = await store.read(place, signal);
			// Read after the answer: what was seen had been written before.
			const now = clock.monotonic();
			const record = row === undefined ? undefined : decodeTerm(row.text);
			if (record !== undefined && record.state !== "live") {
				observed.delete(term.id);
				remember(over, term.id, true);
				return 0;
			}
			const leaseMs = Math.max(term.leaseMs, record?.leaseMs ?? 0);
			const seen = observed.get(term.id);
			if (seen === undefined || seen.version !== row?.version) {
				remember(observed, term.id, { version: row?.version, since: now });
				return leaseMs;
			}
			const left = leaseMs - (now - seen.since);
			if (left > 0) return left;
			// A row that is gone cannot be renewed; one that is there is fenced, or was renewed just now.
			if (row !== undefined) {
				const fence = rowOf({ ...term, leaseMs, state: "fenced" });
				if ((await store.write(place, fence, row, signal)) === undefined) return leaseMs;
			}
			observed.delete(term.id);
			remember(over, term.id, true);
			return 0;
		},
	};
}
