/**
 * The publisher of one transport: a queue per channel, bounded over all of them in count and bytes; envelopes are
 * checked against the transport's payload bound before anything is sent; `flush` waits for all that was published
 * before it was called.
 */
import type { Channel } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { type Envelope, envelopeBytes } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Outcome, Transport } from "../core/transport.ts";
import { ChannelQueue, type QueueHost } from "./channel-queue.ts";
import { Pending } from "./pending.ts";

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

export interface Publisher {
	/** Never rejects: a refusal is an outcome too. */
	publish(envelope: Envelope): Promise<Outcome>;
	flush(): Promise<void>;
	/** Fails what is still queued; idempotent. */
	close(): void;
}

export interface PublisherDeps {
	readonly clock: Clock;
	random(): number;
	readonly limits?: Partial<PublisherLimits>;
}

export function createPublisher(transport: Transport, deps: PublisherDeps): Publisher {
	const limits: PublisherLimits = { ...DEFAULT_PUBLISHER, ...deps.limits };
	const queues = new Map<string, ChannelQueue>();
	const stop = new AbortController();
	const pending = new Pending();
	let queuedBytes = 0;

	const host: QueueHost = {
		transport,
		clock: deps.clock,
		stop: stop.signal,
		random: deps.random,
		settled: (bytes, term) => {
			queuedBytes -= bytes;
			pending.end(term);
		},
		idle: (channel: Channel) => {
			if (queues.get(channel.key)?.length === 0) queues.delete(channel.key);
		},
	};

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

	return {
		publish(envelope) {
			const bytes = envelopeBytes(envelope);
			const error = refusal(bytes);
			if (error !== undefined) return Promise.resolve({ ok: false, uncertain: false, error });
			queuedBytes += bytes;
			const { channel } = envelope;
			let queue = queues.get(channel.key);
			if (queue === undefined) {
				queue = new ChannelQueue(channel, host);
				queues.set(channel.key, queue);
			}
			return queue.push(envelope, limits.timeoutMs, pending.begin());
		},
		flush: () => pending.flush(),
		close() {
			stop.abort(new FanoutError("Closed", "the publisher is closed"));
		},
	};
}
