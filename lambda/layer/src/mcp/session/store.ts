/**
 * Sessions as the registry has them. Nobody owns one: any process may serve it, each write compares-and-sets what was
 * read, and the newest GET stream is a fact of the record. Expiry is judged when a record is read: unused for
 * `idleMs`, or `maxAgeMs` after it was opened.
 */
import type { Channel } from "../../core/channel.ts";
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
/** Writers of one record that meet: each round one of them wins. */
const MAX_RACES = 8;
/** A session in use is written again when this part of its idle time has gone by. */
const TOUCH_PART = 0.25;

export class SessionStore {
	readonly #host: SessionHost;
	readonly #expiry: Expiry;

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
		if (isDue && untouchedMs > usedAgoMs) await this.#touch(registry, record);
		return readRecord(record);
	}

	/**
	 * Undefined when the session is gone. `change` may be called again with a newer record; when it gives nothing,
	 * nothing is written.
	 */
	async amend(
		channel: Channel,
		change: (session: StoredSession) => Change | undefined,
	): Promise<StoredSession | undefined> {
		const registry = await this.#host.registry();
		for (let race = 0; race < MAX_RACES; race += 1) {
			const record = await this.#find(registry, channel);
			if (record === undefined) return undefined;
			const stored = readRecord(record);
			const changed = change(stored);
			if (changed === undefined) return stored;
			const { facts, state } = changed;
			const patch = { ...(facts && { facts: writeFacts(facts, record.facts) }), ...(state !== undefined && { state }) };
			try {
				return readRecord(await registry.update(record, patch));
			} catch (error) {
				if (!isFanoutError(error, "Conflict")) throw error;
			}
		}
		throw new FanoutError("Conflict", `a session's record changed ${MAX_RACES} times while it was written`, {
			retryable: true,
		});
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

	async #touch(registry: Registry, record: SessionRecord): Promise<void> {
		try {
			await registry.update(record, {});
		} catch (error) {
			// Another process wrote it meanwhile, which touched it as well.
			if (!isFanoutError(error, "Conflict")) throw error;
		}
	}
}

export interface Change {
	readonly facts?: SessionFacts;
	readonly state?: Json;
}

function readRecord({ session, principal, facts, state, createdAt, touchedAt }: SessionRecord): StoredSession {
	return { channel: session, principal, facts: readFacts(facts), state, createdAt, touchedAt };
}
