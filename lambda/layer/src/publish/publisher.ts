/**
 * The publisher of one transport: a queue per channel, bounded over all of them in count and bytes; envelopes are
 * checked against the transport's payload bound before anything is sent; `flush` waits for all that was published
 * before it was called. With a gate, everyone hears at once when it shuts; with an outbox, what is refused is kept.
 */
import type { Channel } from "../core/channel.ts";
import { type Clock, MAX_TIMER_MS, pause } from "../core/clock.ts";
import { decodeEnvelope, type Envelope, envelopeBytes } from "../core/envelope.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Gate } from "../core/gate.ts";
import { Pending } from "../core/pending.ts";
import type { Range } from "../core/ranges.ts";
import type { Transport } from "../core/transport.ts";
import { ChannelQueue } from "./channel-queue.ts";
import type { Item, LaneOutcome } from "./item.ts";
import { Offers } from "./offers.ts";
import type { Outbox } from "./outbox.ts";
import type { StoredEnvelope } from "./outbox-file.ts";
import type { QueueHost } from "./queue-host.ts";
import { RetryBudget } from "./retry-budget.ts";

export interface PublisherLimits {
	/** How long an envelope may take, waiting for its turn included. */
	readonly timeoutMs: number;
	/** Envelopes and encoded bytes that may be queued or in flight over all channels. */
	readonly maxQueued: number;
	readonly maxQueuedBytes: number;
}

export const DEFAULT_PUBLISHER: PublisherLimits = {
	timeoutMs: 5_000,
	maxQueued: 100_000,
	maxQueuedBytes: 64 * 1024 * 1024,
};

/** Queues that are kept though nothing is in them. */
const MAX_RESTING = 1_024;

export const PUBLISHER_RANGES: Readonly<Record<keyof PublisherLimits, Range>> = {
	timeoutMs: [1, MAX_TIMER_MS],
	maxQueued: [0, 10_000_000],
	maxQueuedBytes: [0, 2 ** 34],
};

export interface Publisher {
	/** The answer in this turn, where the transport gives one and nothing of the channel has to be waited for. */
	accept(envelope: Envelope): LaneOutcome | undefined;
	/** Never rejects: a refusal is an outcome too. */
	publish(envelope: Envelope): Promise<LaneOutcome>;
	/** Offers again what another process kept, in this order, before anything that is published from now on. */
	restore(stored: readonly StoredEnvelope[]): void;
	/** Resolves when everyone who published before was told; what is kept by then stays kept. */
	flush(): Promise<void>;
	/** Resolves when nothing is kept, or nothing of it can be sent now; `withinMs` at the latest. */
	drained(withinMs: number): Promise<void>;
	/**
	 * From the next offer on; what is queued stays where it stands. Resolves when the transport that was here before has
	 * nothing of this publisher in flight any more.
	 */
	change(to: PublisherChange): Promise<void>;
	/** Fails what is still queued; idempotent. */
	close(): void;
}

/** What is absent stays as it is; limits are given whole. */
export interface PublisherChange {
	readonly transport?: Transport | undefined;
	readonly limits?: Partial<PublisherLimits> | undefined;
	readonly gate?: Gate | undefined;
	readonly outbox?: Outbox | undefined;
}

export interface PublisherDeps {
	readonly clock: Clock;
	random(): number;
	/** It has not started, and is tried again. Absent: all have. */
	isLate?(transport: Transport): boolean;
	readonly limits?: Partial<PublisherLimits>;
	readonly gate?: Gate | undefined;
	readonly outbox?: Outbox | undefined;
}

export function createPublisher(first: Transport, deps: PublisherDeps): Publisher {
	const { clock } = deps;
	let transport = first;
	let { gate, outbox } = deps;
	let limits: PublisherLimits = { ...DEFAULT_PUBLISHER, ...deps.limits };
	/**
	 * Those with something queued or in flight, and some that had lately. A map, or set, that each message enters and
	 * leaves makes a new table every few messages, and each table that the collector has not got to yet keeps the next one
	 * alive, with all that was in it: that was a kilobyte a message, and pauses of 10 ms.
	 */
	const queues = new Map<string, ChannelQueue>();
	let resting = 0;
	const stop = new AbortController();
	const pending = new Pending();
	const offers = new Offers(clock);
	let opening = Promise.withResolvers<void>();
	let emptied = Promise.withResolvers<void>();
	let queuedBytes = 0;

	const host: QueueHost = {
		get transport() {
			return transport;
		},
		clock,
		get gate() {
			return gate;
		},
		get outbox() {
			return outbox;
		},
		get timeoutMs() {
			return limits.timeoutMs;
		},
		budget: new RetryBudget(clock),
		stop: stop.signal,
		offers,
		get isShut() {
			return gate !== undefined && !gate.admits;
		},
		get isLate() {
			return deps.isLate?.(transport) ?? false;
		},
		opened: () => opening.promise,
		random: deps.random,
		settled: (bytes, term) => {
			queuedBytes -= bytes;
			pending.end(term);
		},
		idle: (channel: Channel) => {
			if (queues.get(channel.key)?.isIdle !== true) return;
			resting += 1;
			if (resting === queues.size) emptied.resolve();
			if (resting <= MAX_RESTING) return;
			for (const [key, queue] of queues) if (queue.isIdle) queues.delete(key);
			resting = 0;
		},
	};
	const open = (): void => {
		offers.admit();
		opening.resolve();
		opening = Promise.withResolvers();
	};
	const watch = (watched: Gate | undefined): void => {
		watched?.onChange((state) => {
			if (stop.signal.aborted || watched !== gate) return;
			if (watched.admits) open();
			else if (state === "open") {
				const error = new FanoutError("TransportUnavailable", `${transport.place}: its breaker opened`, {
					retryable: true,
				});
				for (const queue of queues.values()) queue.giveUp(error);
				offers.abort(error);
				emptied.resolve();
			}
		});
	};
	watch(gate);

	function refusal(bytes: number): FanoutError | undefined {
		const { maxPayloadBytes } = transport.capabilities;
		if (stop.signal.aborted) return new FanoutError("Closed", "the publisher is closed");
		if (bytes > maxPayloadBytes) {
			const message = `the envelope takes ${bytes} bytes encoded, ${transport.name} takes at most ${maxPayloadBytes}`;
			return new FanoutError("PayloadTooLarge", message, { data: { bytes, maxPayloadBytes } });
		}
		if (pending.count >= limits.maxQueued || queuedBytes + bytes > limits.maxQueuedBytes) {
			const message = `${pending.count} envelopes of ${queuedBytes} bytes are queued for ${transport.name}; at most ${limits.maxQueued} of ${limits.maxQueuedBytes} bytes are`;
			return new FanoutError("QueueFull", message, { retryable: true, data: { queued: pending.count, queuedBytes } });
		}
		return undefined;
	}

	function queueOf(channel: Channel): ChannelQueue {
		let queue = queues.get(channel.key);
		if (queue === undefined) {
			queue = new ChannelQueue(channel, host);
			queues.set(channel.key, queue);
		} else if (queue.isIdle) resting -= 1;
		return queue;
	}

	return {
		accept(envelope) {
			// Behind a gate every offer counts, and with a queue order does.
			if (transport.accept === undefined || gate !== undefined) return undefined;
			if (queues.get(envelope.channel.key)?.isIdle === false) return undefined;
			const error = refusal(envelopeBytes(envelope));
			if (error !== undefined) return { ok: false, uncertain: false, error };
			try {
				const outcome = transport.accept(envelope);
				return outcome.ok || !outcome.error.retryable ? outcome : undefined;
			} catch (cause) {
				const thrown = asFanoutError(cause, "TransportRefused", `${transport.place} failed while it accepted`);
				return { ok: false, uncertain: true, error: thrown };
			}
		},
		publish(envelope) {
			const bytes = envelopeBytes(envelope);
			const error = refusal(bytes);
			if (error !== undefined) return Promise.resolve({ ok: false, uncertain: false, error });
			queuedBytes += bytes;
			return queueOf(envelope.channel).push(envelope, bytes, pending.begin());
		},
		flush: () => pending.flush(),
		async drained(withinMs) {
			if (resting === queues.size || host.isLate || (gate !== undefined && gate.state !== "closed")) return;
			emptied = Promise.withResolvers();
			const waiting = new AbortController();
			await Promise.race([emptied.promise, pause(clock, withinMs, waiting.signal, true)]);
			waiting.abort();
		},
		restore(stored) {
			for (const { row, at, text } of stored) {
				// Whether it was offered is not known: it may be in the lane since it was published.
				const since = clock.monotonic() - Math.max(0, clock.now() - at);
				if (outbox !== undefined && clock.monotonic() - since > outbox.maxAgeMs) {
					const message = `${transport.place} did not accept within ${outbox.maxAgeMs} ms`;
					outbox.discard(row, new FanoutError("DeadlineExceeded", message));
					continue;
				}
				let envelope: Envelope;
				try {
					envelope = decodeEnvelope(text);
				} catch (error) {
					outbox?.discard(row, asFanoutError(error, "InvalidEnvelope", "a stored envelope cannot be read"));
					continue;
				}
				const bytes = envelopeBytes(envelope);
				const item: Item = { envelope, bytes, since, deadline: since, uncertainSince: since, waiting: undefined, row };
				if (outbox?.keepAgain(item)) queueOf(envelope.channel).restore(item);
			}
		},
		async change(to) {
			if (stop.signal.aborted) return;
			const before = transport;
			transport = to.transport ?? transport;
			outbox = to.outbox ?? outbox;
			if (to.limits !== undefined) limits = { ...DEFAULT_PUBLISHER, ...to.limits };
			if (to.gate !== undefined) {
				gate?.close();
				gate = to.gate;
				watch(gate);
				open();
			}
			if (transport !== before) await Promise.allSettled([...queues.values()].map(({ flight }) => flight));
		},
		close() {
			if (stop.signal.aborted) return;
			const error = new FanoutError("Closed", "the publisher is closed");
			outbox?.close();
			stop.abort(error);
			offers.abort(error);
			gate?.close();
			opening.resolve();
		},
	};
}
