/**
 * Sessions as the registry has them. Nobody owns one: any process may serve it, each write compares-and-sets what was
 * read, and the newest GET stream is a fact of the record. Expiry is judged when a record is read: unused for
 * `idleMs`, or `maxAgeMs` after it was opened.
 */
import { fullJitter } from "../../core/backoff.ts";
import type { Channel } from "../../core/channel.ts";
import { pause } from "../../core/clock.ts";
import { FanoutError, isFanoutError } from "../../core/errors.ts";
import type { Registry } from "../../sessions/port.ts";
import type { Json, SessionRecord } from "../../sessions/record.ts";
import { readFacts, type SessionFacts, writeFacts } from "./facts.ts";
import type { SessionHost } from "./host.ts";

export interface StoredSession {
	readonly channel: Channel;
	readonly principal: string | undefined;
	readonly facts: SessionFacts;
	readonly state: Json;
	readonly createdAt: number;
	readonly touchedAt: number;
}

export interface Expiry {
	readonly idleMs: number;
	readonly maxAgeMs: number;
}

export const DEFAULT_EXPIRY: Expiry = { idleMs: 60 * 60 * 1000, maxAgeMs: 24 * 60 * 60 * 1000 };
/** Processes that write one record at once: each round one of them wins. */
const MAX_RACES = 16;
const RACE_BACKOFF = { baseMs: 2, capMs: 50 };
/** A session in use is written again when this part of its idle time has gone by. */
const TOUCH_PART = 0.25;

export class SessionStore {
	readonly #host: SessionHost;
	readonly #expiry: Expiry;
	/** What waits for the write under way, by session. */
	readonly #waiting = new Map<string, Amendment[]>();

	constructor(host: SessionHost, expiry: Expiry) {
		this.#host = host;
		this.#expiry = expiry;
	}

	async create(
		channel: Channel,
		principal: string | undefined,
		facts: SessionFacts,
		state: Json,
	): Promise<StoredSession> {
		const registry = await this.#host.registry();
		return readRecord(await registry.create(channel, { principal, facts: writeFacts(facts), state }));
	}

	/** Undefined when there is none, or none any more. Touches one that was used since it was, `usedAgoMs` ago. */
	async read(channel: Channel, usedAgoMs = 0): Promise<StoredSession | undefined> {
		const registry = await this.#host.registry();
		const record = await this.#find(registry, channel);
		if (record === undefined) return undefined;
		const untouchedMs = this.#host.clock.now() - record.touchedAt;
		const isDue = untouchedMs > Math.min(this.#expiry.idleMs, registry.retentionMs) * TOUCH_PART;
		const now = isDue && untouchedMs > usedAgoMs ? await this.#touch(registry, record) : record;
		return now && readRecord(now);
	}

	/**
	 * Undefined when the session is gone. `change` may be called again with a newer record; when it gives nothing,
	 * nothing is written. One write of a session at a time, and what is asked meanwhile is the next, all of it: who
	 * changes much at once would lose race after race to itself.
	 */
	amend(channel: Channel, change: (session: StoredSession) => Change | undefined): Promise<StoredSession | undefined> {
		const done = Promise.withResolvers<StoredSession | undefined>();
		const waiting = this.#waiting.get(channel.key);
		if (waiting === undefined) this.#amendAll(channel, [{ change, done }]);
		else waiting.push({ change, done });
		return done.promise;
	}

	async #amendAll(channel: Channel, waiting: Amendment[]): Promise<void> {
		this.#waiting.set(channel.key, waiting);
		while (waiting.length > 0) {
			const batch = waiting.splice(0);
			try {
				await this.#amendBatch(channel, batch);
			} catch (error) {
				// What one of them asks for may be too large: the others need not fail with it.
				const isOfOne = batch.length > 1 && isFanoutError(error) && !error.retryable;
				for (const one of batch) {
					if (isOfOne) await this.#amendBatch(channel, [one]).catch(one.done.reject);
					else one.done.reject(error);
				}
			}
		}
		this.#waiting.delete(channel.key);
	}

	async #amendBatch(channel: Channel, batch: readonly Amendment[]): Promise<void> {
		const registry = await this.#host.registry();
		for (let race = 0; race < MAX_RACES; race += 1) {
			const record = await this.#find(registry, channel);
			const before = record && readRecord(record);
			let after = before;
			const refused = new Map<Amendment, unknown>();
			for (const one of batch) {
				try {
					if (after !== undefined) after = { ...after, ...one.change(after) };
				} catch (error) {
					refused.set(one, error);
				}
			}
			try {
				const stored = before && after && (await this.#write(registry, record as SessionRecord, before, after));
				for (const one of batch) {
					if (refused.has(one)) one.done.reject(refused.get(one));
					else one.done.resolve(stored);
				}
				return;
			} catch (error) {
				if (!isFanoutError(error, "Conflict")) throw error;
			}
			await pause(this.#host.clock, fullJitter(race, RACE_BACKOFF, Math.random));
		}
		throw new FanoutError("Conflict", `a session's record changed ${MAX_RACES} times while it was written`, {
			retryable: true,
		});
	}

	async #write(
		registry: Registry,
		record: SessionRecord,
		before: StoredSession,
		{ facts, state }: StoredSession,
	): Promise<StoredSession> {
		if (facts === before.facts && state === before.state) return before;
		const patch = {
			...(facts !== before.facts && { facts: writeFacts(facts, record.facts) }),
			...(state !== before.state && { state }),
		};
		return readRecord(await registry.update(record, patch));
	}

	/** False when it was gone already. */
	async remove(channel: Channel): Promise<boolean> {
		const registry = await this.#host.registry();
		for (let race = 0; race < MAX_RACES; race += 1) {
			const record = await registry.get(channel);
			if (record === undefined) return false;
			if (await this.#removeRecord(registry, record)) return true;
		}
		throw new FanoutError("Conflict", `a session's record changed ${MAX_RACES} times while it was removed`, {
			retryable: true,
		});
	}

	async #find(registry: Registry, channel: Channel): Promise<SessionRecord | undefined> {
		const record = await registry.get(channel);
		if (record === undefined) return undefined;
		const now = this.#host.clock.now();
		const { idleMs, maxAgeMs } = this.#expiry;
		if (now - record.touchedAt <= idleMs && now - record.createdAt <= maxAgeMs) return record;
		await this.#removeRecord(registry, record);
		return undefined;
	}

	async #removeRecord(registry: Registry, record: SessionRecord): Promise<boolean> {
		try {
			await registry.remove(record);
			return true;
		} catch (error) {
			if (isFanoutError(error, "Conflict")) return false;
			throw error;
		}
	}

	/** The record as it is then. */
	async #touch(registry: Registry, record: SessionRecord): Promise<SessionRecord | undefined> {
		try {
			return await registry.update(record, {});
		} catch (error) {
			if (!isFanoutError(error, "Conflict")) throw error;
			// Another process wrote it meanwhile, which touched it as well.
			return registry.get(record.session);
		}
	}
}

export interface Change {
	readonly facts?: SessionFacts;
	readonly state?: Json;
}

interface Amendment {
	readonly change: (session: StoredSession) => Change | undefined;
	readonly done: PromiseWithResolvers<StoredSession | undefined>;
}

function readRecord({ session, principal, facts, state, createdAt, touchedAt }: SessionRecord): StoredSession {
	return { channel: session, principal, facts: readFacts(facts), state, createdAt, touchedAt };
}
