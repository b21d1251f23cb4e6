/**
 * The local transport: ordered logs in this process, in memory or in a SQLite file. Publishing is synchronous up to
 * the hand-over: when `publish` returns its promise, the channel's subscriber has the entries. It loses nothing, so it
 * never calls `suspect`, and it always knows its epoch: the end of a channel that it has no log of is its floor.
 */
import { createHash } from "node:crypto";
import { resolve } from "node:path";
import type { Channel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import type { Envelope } from "../../core/envelope.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Ids } from "../../core/ids.ts";
import { epochOf, type Position } from "../../core/position.ts";
import type { Outcome, Subscriber, Transport, TransportEvent, TransportHost } from "../../core/transport.ts";
import { checkBatch, planBatch, refuse, toStored } from "./batch.ts";
import { hand } from "./hand.ts";
import { endPosition, type Log, pageOf } from "./log.ts";
import { type LocalOptions, MAX_BATCH, resolveLimits } from "./options.ts";
import { restore } from "./restore.ts";
import { createShelf } from "./shelf.ts";
import { createSqliteStore } from "./sqlite-store.ts";
import { createMemoryStore } from "./store.ts";

export interface LocalParts {
	readonly clock: Clock;
	readonly ids: Ids;
	readonly instanceId: string;
}

/** Nothing that is handed over can get lost here: the engine makes no end checks. */
const END_CHECK_MS = 0;

/**
 * A file's place is its path, so that it is the same after a restart and known before the start. The same path on
 * another machine is the same place, but its file has another epoch: a cursor from there is told `epoch`.
 */
function nameOf(file: string): string {
	return createHash("sha256").update(resolve(file)).digest("hex").slice(0, 16);
}

/** Of a subscriber that publishes more and more from inside `entry`: its publisher has a queue for what comes too early. */
function crowded(waiting: number): FanoutError {
	const message = `${waiting} entries wait for the channel's subscriber; at ${MAX_BATCH} no more are accepted`;
	return new FanoutError("QueueFull", message, { retryable: true, data: { waiting } });
}

export function createLocalTransport(options: LocalOptions, { clock, ids, instanceId }: LocalParts): Transport {
	const limits = resolveLimits(options);
	const store = options.file === undefined ? createMemoryStore() : createSqliteStore(options.file);
	let host: TransportHost | undefined;
	const report = (event: TransportEvent) => host?.report(event);
	let shelf = createShelf(limits, store);
	let state: "new" | "started" | "closed" = "new";
	let epoch = "";

	const unusable = (signal?: AbortSignal): FanoutError | undefined => {
		if (state === "new") {
			return new FanoutError("TransportUnavailable", "the local transport has not started yet", { retryable: true });
		}
		if (state === "closed") return new FanoutError("Closed", "the local transport is closed");
		if (signal?.aborted) return new FanoutError("Aborted", "the call was aborted", { cause: signal.reason });
		return undefined;
	};

	const insist = (signal?: AbortSignal) => {
		const error = unusable(signal);
		if (error !== undefined) throw error;
	};

	/** The channel's log as of now; one that does not exist is empty at the floor, and is not made. */
	const current = (channel: Channel): Log => {
		const log = shelf.peek(channel);
		shelf.expire(log, clock.now());
		return log;
	};

	const publish = (channel: Channel, batch: readonly Envelope[], signal?: AbortSignal): Outcome[] => {
		const refusal = unusable(signal);
		if (refusal !== undefined) return refuse(batch.length, refusal);
		const { good, error } = checkBatch(channel, batch, limits.maxPayloadBytes);
		const rest = error === undefined ? [] : refuse(batch.length - good, error);
		// Bad input makes no log: whoever can only send bad input could otherwise evict everyone else's.
		if (good === 0) return rest;
		const now = clock.now();
		const log = shelf.open(channel);
		const waiting = log.waiting?.length ?? 0;
		if (waiting >= MAX_BATCH) return refuse(batch.length, crowded(waiting));
		shelf.expire(log, now);
		const taken = good === batch.length ? batch : batch.slice(0, good);
		const planned = planBatch(log, taken, now, epoch, store.durability);
		let count = 0;
		let bytes = 0;
		for (const { fresh } of planned) {
			if (fresh === undefined) continue;
			count += 1;
			bytes += fresh.kept.bytes;
		}
		if (count > 0) {
			shelf.makeRoom(log, count, bytes);
			try {
				store.append?.(channel.key, log.base, log.baseAt, toStored(planned));
			} catch (cause) {
				const failure = asFanoutError(cause, "TransportUnavailable", "the local store failed", true);
				return refuse(batch.length, failure);
			}
			for (const { fresh } of planned) if (fresh !== undefined) shelf.append(log, fresh.kept);
			hand(log, planned, report);
		}
		const outcomes = planned.map(({ outcome }) => outcome);
		return rest.length === 0 ? outcomes : outcomes.concat(rest);
	};

	const follow = (channel: Channel, subscriber: Subscriber): { end: Position; close: () => void } => {
		insist();
		const log = shelf.open(channel);
		shelf.expire(log, clock.now());
		store.settle();
		if (log.subscriber !== undefined) {
			throw new FanoutError("Unsupported", "a channel has one live subscription; the engine shares it");
		}
		shelf.follow(log, subscriber);
		const close = () => {
			if (log.subscriber === subscriber) shelf.follow(log, undefined);
		};
		return { end: endPosition(log, epoch), close };
	};

	return {
		name: "local",
		place: `local/${options.file === undefined ? instanceId : nameOf(options.file)}`,
		capabilities: {
			reach: "process",
			replay: true,
			// Both hold unless a count or byte bound drops the event first: an id is known while its event is kept.
			dedupMs: limits.retentionMs,
			endCheckMs: END_CHECK_MS,
			retentionMs: limits.retentionMs,
			batch: { count: MAX_BATCH, bytes: limits.maxBytes },
			positionAtAccept: true,
			maxPayloadBytes: limits.maxPayloadBytes,
		},
		async start(to, signal) {
			if (state !== "new") throw new FanoutError("Closed", "a local transport starts once");
			if (signal.aborted) throw new FanoutError("Aborted", "the start was aborted", { cause: signal.reason });
			const snapshot = store.open(epochOf(ids.random32()));
			host = to;
			epoch = snapshot.epoch;
			shelf = createShelf(limits, store, snapshot.floor, snapshot.floorAt);
			restore(shelf, snapshot, (error) => to.report({ kind: "error", error }));
			state = "started";
		},
		publish: async (channel, batch, _options, signal) => publish(channel, batch, signal),
		// A file is written in batches: there, what waits for its turn shares a write.
		...(options.file === undefined && {
			accept: (envelope: Envelope) => publish(envelope.channel, [envelope])[0] as Outcome,
		}),
		subscribe(channel, subscriber) {
			try {
				const { end, close } = follow(channel, subscriber);
				return { ready: Promise.resolve(end), close };
			} catch (cause) {
				const ready = Promise.reject(asFanoutError(cause, "TransportUnavailable", "the channel cannot be followed"));
				// Whoever waits for it sees it; whoever closed first must not bring the process down.
				ready.catch(() => {});
				return { ready, close() {} };
			}
		},
		async *read(asks, signal) {
			for (const ask of asks) {
				insist(signal);
				store.settle();
				yield pageOf(current(ask.channel), ask, epoch);
			}
		},
		async ends(channels, signal) {
			insist(signal);
			store.settle();
			return channels.map((channel) => endPosition(current(channel), epoch));
		},
		async close() {
			if (state === "closed") return;
			state = "closed";
			shelf.close();
			shelf = createShelf(limits, store);
			store.close();
		},
	};
}
