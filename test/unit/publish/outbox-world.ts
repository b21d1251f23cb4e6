/** A publisher with breaker and outbox on a broker that refuses, hangs, answers late and forgets ids, under a fake clock. */
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { Outbox } from "../../../lambda/layer/src/publish/outbox.ts";
import { createPublisher } from "../../../lambda/layer/src/publish/publisher.ts";
import { createBreaker } from "../../../lambda/layer/src/route/breaker.ts";
import { DEFAULT_BREAKER, DEFAULT_OUTBOX, type OutboxOptions } from "../../../lambda/layer/src/route/options.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

export const TIMEOUT_MS = 5_000;
export const DEDUP_MS = 45_000;

export const channelOf = (name: string): Channel => createChannel("topic", name);

export function envelopeOf(name: string, n: number, clock: FakeClock, lanes: readonly string[] = ["fake"]): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n } };
	const channel = channelOf(name);
	return { v: 1, id: deriveId(name, String(n)), channel, message, publishedAt: clock.now(), origin: "test", lanes };
}

export function numberOf({ message }: Envelope): number {
	return (message as unknown as { params: { n: number } }).params.n;
}

/** What a log holds of a channel, by number. */
export function inLog(broker: FakeBroker, name: string): number[] {
	return (broker.log(channelOf(name))?.entries ?? []).map(({ envelope }) => numberOf(envelope as Envelope));
}

/** When a broker took an id, through whichever transport. */
const takenAt = new WeakMap<FakeBroker, Map<string, number>>();

/** Loses requests and answers, so that nothing is heard until the deadline, and forgets ids after `DEDUP_MS` as real lanes do. */
export function unreliable(
	transport: Transport,
	broker: FakeBroker,
	clock: FakeClock,
	hangs: () => boolean,
): Transport {
	const seen = takenAt.get(broker) ?? new Map<string, number>();
	takenAt.set(broker, seen);
	return {
		...transport,
		async publish(channel, batch, options, signal) {
			const ids = broker.log(channel)?.ids;
			for (const id of ids?.keys() ?? []) {
				if (clock.monotonic() - (seen.get(id) ?? 0) > DEDUP_MS) ids?.delete(id);
			}
			if (hangs())
				await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
			try {
				return await transport.publish(channel, batch, options, signal);
			} finally {
				for (const id of broker.log(channel)?.ids.keys() ?? []) if (!seen.has(id)) seen.set(id, clock.monotonic());
			}
		},
	};
}

export function createWorld(run: number, limits: Partial<OutboxOptions> = {}) {
	const random = createRandom(run);
	const clock = createFakeClock();
	const broker = new FakeBroker(random.next);
	const hang = { chance: 0 };
	const reported: FanoutError[] = [];
	const capabilities = { batch: { count: 4, bytes: 4_096 }, dedupMs: DEDUP_MS };
	const fake = createFakeTransport(broker, { capabilities });
	const transport = unreliable(fake, broker, clock, () => random.next() < hang.chance);
	const gate = createBreaker({ clock, options: DEFAULT_BREAKER, random: random.next });
	const report = (error: FanoutError) => reported.push(error);
	const outbox = new Outbox({ lane: "fake", clock, limits: { ...DEFAULT_OUTBOX, ...limits }, report });
	const publisher = createPublisher(transport, {
		clock,
		random: random.next,
		limits: { timeoutMs: TIMEOUT_MS },
		gate,
		outbox,
	});
	return { random, clock, broker, hang, reported, gate, outbox, publisher };
}
