import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import type { Subscriber, Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

export function world(transports: readonly string[] = ["fake"], eager = true) {
	const made = new World(createRandom(7), { instances: 1, transports, eager });
	const engines = made.engines[0] ?? [];
	const publish = (channel: Channel, count: number, lanes = transports) => {
		for (let n = 0; n < count; n += 1) {
			const envelope = made.envelope(channel, lanes);
			for (const [index, broker] of made.brokers.entries()) {
				if (lanes.includes(transports[index] as string)) broker.append(envelope);
			}
		}
	};
	const client = async (channels: readonly Channel[], cursor?: string, sinceMs?: number) => {
		const one = new Client();
		one.cursor = cursor;
		one.connect(engines, made.clock, channels, sinceMs);
		await made.clock.advance(100);
		return one;
	};
	return { world: made, clock: made.clock, brokers: made.brokers, engines, publish, client };
}

/** An engine whose transport's subscribers the test holds. */
export function held(w: ReturnType<typeof world>, over: Partial<Transport> = {}) {
	const subscribers: Subscriber[] = [];
	const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number]);
	const transport: Transport = {
		...inner,
		subscribe(channel, subscriber) {
			subscribers.push(subscriber);
			return inner.subscribe(channel, subscriber);
		},
		...over,
	};
	const limits = {
		lane: { recent: { count: 8, bytes: 1 << 20 }, missingMs: 5_000, retry: { baseMs: 50, capMs: 500 } },
	};
	const engine = createEngine(transport, { clock: w.clock, random: () => 0.5, report: () => {}, limits });
	return { engine, subscribers };
}
