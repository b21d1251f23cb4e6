/** One session held by this instance: what it may still do, asked right before each act. */
import type { Clock } from "../core/clock.ts";
import { FanoutError, isFanoutError } from "../core/errors.ts";
import type { Held, Patch, Registry } from "./port.ts";
import type { SessionRecord, Term } from "./record.ts";
import { elapsedSince, type Instant, instantOf } from "./terms.ts";

/** A row that is older than this part of its retention may be gone soon, and with it the claim: no more acting. */
const FRESH_PART = 0.75;
/** Updates of one session that wait, the one under way with them; each may have a whole state. */
export const MAX_UPDATES = 100;

export interface Hold extends Held {
	/** May this instance act for the session now? */
	readonly acting: boolean;
	/** Throws NotOwner when the hold is over, and QueueFull beyond `MAX_UPDATES` at once. */
	update(patch: Patch, signal?: AbortSignal): Promise<SessionRecord>;
	/** Stops acting at once, then lets others claim. Idempotent. */
	release(signal?: AbortSignal): Promise<void>;
	/** Ends the session for everybody. */
	remove(signal?: AbortSignal): Promise<void>;
}

export interface KeptHold extends Hold {
	/** Milliseconds since its row was written. */
	readonly age: number;
	/** Its row is surely there. */
	readonly isFresh: boolean;
}

/** What a hold needs of its owner. */
export interface HoldTable {
	readonly registry: Registry;
	readonly clock: Clock;
	stands(term: Term): boolean;
	find(key: string): Hold | undefined;
	drop(key: string): void;
	lost(session: Held["session"]): void;
	/** It may still be owned by this instance. */
	unheard(session: Held["session"]): void;
}

export function createHold(table: HoldTable, held: Held, askedAt: Instant): KeptHold {
	const { registry, clock } = table;
	const { session, epoch, claim, term } = held;
	let writtenAt = askedAt;
	/** The last update: at once they would be written in any order, and some lose every race. */
	let last: Promise<unknown> = Promise.resolve();
	let waiting = 0;

	function drop(): boolean {
		if (table.find(session.key) !== hold) return false;
		table.drop(session.key);
		return true;
	}

	function mustAct(): void {
		if (hold.acting) return;
		throw new FanoutError("NotOwner", "this instance does not own the session now", { data: { epoch } });
	}

	async function letGo(work: Promise<void>): Promise<void> {
		try {
			await work;
		} catch (error) {
			if (!isFanoutError(error, "NotOwner")) table.unheard(session);
			throw error;
		}
	}

	async function update(patch: Patch, signal: AbortSignal | undefined): Promise<SessionRecord> {
		mustAct();
		const at = instantOf(clock);
		try {
			const record = await registry.update(held, patch, signal);
			writtenAt = at;
			return record;
		} catch (error) {
			if (isFanoutError(error, "NotOwner") && drop()) table.lost(session);
			throw error;
		}
	}

	const hold: KeptHold = {
		session,
		epoch,
		claim,
		term,
		get age() {
			return elapsedSince(clock, writtenAt);
		},
		get isFresh() {
			return hold.age < registry.retentionMs * FRESH_PART;
		},
		get acting() {
			return table.find(session.key) === hold && table.stands(term) && hold.isFresh;
		},
		async update(patch, signal) {
			if (waiting >= MAX_UPDATES) {
				const message = `${MAX_UPDATES} updates of the session wait already`;
				throw new FanoutError("QueueFull", message, { retryable: true, data: { maxUpdates: MAX_UPDATES } });
			}
			waiting += 1;
			const updated = last
				.then(() => update(patch, signal))
				.finally(() => {
					waiting -= 1;
				});
			last = updated.catch(() => undefined); // whoever asked for it is told
			return updated;
		},
		async release(signal) {
			if (drop()) await letGo(registry.release(held, signal));
		},
		async remove(signal) {
			mustAct();
			drop();
			await letGo(registry.remove(held, signal));
		},
	};
	return hold;
}
