/** A transport over a FakeBroker: one instance's connection to it. For tests of engines, publishers and fleets. */
import { type Envelope, envelopeBytes } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Capabilities, Outcome, Transport } from "../core/transport.ts";
import type { FakeBroker } from "./fake-broker.ts";

export const FAKE_CAPABILITIES: Capabilities = {
	reach: "fleet",
	replay: true,
	dedupMs: 120_000,
	endCheckMs: 1_000,
	retentionMs: 86_400_000,
	batch: { count: 16, bytes: 256 * 1024 },
	positionAtAccept: true,
	maxPayloadBytes: 120 * 1024,
};

export interface FakeTransportOptions {
	readonly name?: string;
	readonly capabilities?: Partial<Capabilities>;
}

export function createFakeTransport(broker: FakeBroker, options: FakeTransportOptions = {}): Transport {
	const name = options.name ?? "fake";
	const capabilities = { ...FAKE_CAPABILITIES, ...options.capabilities };
	const open = new Set<() => void>();
	const { faults } = broker;
	const unavailable = (what: string) =>
		new FanoutError("TransportUnavailable", `the broker failed a ${what}`, { retryable: true });
	let closed = false;
	const tooLarge = (bytes: number) =>
		new FanoutError("PayloadTooLarge", `${bytes} bytes, at most ${capabilities.maxPayloadBytes} are accepted`, {
			data: { bytes, maxBytes: capabilities.maxPayloadBytes },
		});
	// Requests answer in a later turn, as over a network.
	const turn = (signal: AbortSignal): Promise<void> =>
		new Promise((resolve, reject) => {
			if (signal.aborted) reject(signal.reason);
			else if (closed) reject(new FanoutError("Closed", "the transport is closed"));
			else queueMicrotask(resolve);
		});

	return {
		name,
		place: `${name}/broker`,
		capabilities,
		async start() {},
		async publish(_channel, batch, _options, signal) {
			await turn(signal);
			if (broker.chance(faults.refuse)) throw unavailable("publish");
			const taken = broker.chance(faults.partial) ? Math.floor(broker.random() * batch.length) : batch.length;
			const large = batch.findIndex((envelope) => envelopeBytes(envelope) > capabilities.maxPayloadBytes);
			const outcomes = batch.map((envelope, index): Outcome => {
				if (large >= 0 && index >= large) {
					return { ok: false, uncertain: false, error: tooLarge(envelopeBytes(batch[large] as Envelope)) };
				}
				if (index >= taken) return { ok: false, uncertain: false, error: unavailable("publish in a batch") };
				return { ok: true, ...broker.append(envelope), durability: "memory", reach: capabilities.reach };
			});
			if (broker.chance(faults.uncertain)) throw unavailable("publish after taking it");
			return outcomes;
		},
		subscribe(channel, subscriber) {
			const stop = broker.subscribe(channel, subscriber);
			open.add(stop);
			return {
				ready: Promise.resolve().then(() => {
					if (closed) throw new FanoutError("Closed", "the transport is closed");
					if (broker.chance(faults.endsFails)) throw unavailable("subscription");
					return broker.endOf(channel);
				}),
				close() {
					open.delete(stop);
					stop();
				},
			};
		},
		async *read(asks, signal) {
			await turn(signal);
			if (broker.chance(faults.readFails)) throw unavailable("read");
			for (const { channel, from, limit } of asks) yield broker.read(channel, from, limit);
		},
		async ends(channels, signal) {
			await turn(signal);
			if (broker.chance(faults.endsFails)) throw unavailable("question for ends");
			return channels.map((channel) => broker.endOf(channel));
		},
		async close() {
			closed = true;
			for (const stop of open) stop();
			open.clear();
		},
	};
}
