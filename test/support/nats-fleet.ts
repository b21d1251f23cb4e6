/** Instances over real nats-servers: a transport with its publisher and engine, and client streams that write down. */
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Reason } from "../../lambda/layer/src/core/client-feed.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Outcome, Transport } from "../../lambda/layer/src/core/transport.ts";
import { createEngine, type Engine } from "../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../lambda/layer/src/deliver/feed.ts";
import { createPublisher, type Publisher } from "../../lambda/layer/src/publish/publisher.ts";
import { createNatsTransport, type NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";

export const ids = createIds(systemClock);
const random = () => ids.random32() / 2 ** 32;

export interface Stream {
	readonly numbers: number[];
	readonly marks: Reason[];
	cursor: string;
	close(): void;
}

export interface Instance {
	readonly transport: Transport;
	readonly engine: Engine;
	readonly publisher: Publisher;
	readonly errors: unknown[];
	publish(channel: Channel, n: number): Promise<Outcome>;
	open(channel: Channel, cursor?: string): Promise<Stream>;
	close(): Promise<void>;
}

export function topic(id: string, namespace = "test"): Channel {
	return createChannel("topic", id, { namespace });
}

export function envelopeOf(channel: Channel, n: number): Envelope {
	const message = { jsonrpc: "2.0" as const, method: "notifications/test", params: { n } };
	const fields = { v: 1, id: ids.next(), channel, message, publishedAt: Date.now() };
	return { ...fields, origin: "test", lanes: ["nats"] };
}

export function numberOf(envelope: Envelope): number {
	return (envelope.message as unknown as { params: { n: number } }).params.n;
}

export async function startInstance(options: NatsOptions, timeoutMs = 30_000): Promise<Instance> {
	const errors: unknown[] = [];
	const transport = createNatsTransport(options, { clock: systemClock, ids, instanceId: ids.next() });
	const report = (error: unknown) => void errors.push(error);
	const listener = { report: (event: { kind: string }) => void (event.kind === "error" && errors.push(event)) };
	await transport.start(listener, AbortSignal.timeout(20_000));
	const engine = createEngine(transport, { clock: systemClock, random, report });
	const publisher = createPublisher(transport, { clock: systemClock, random, limits: { timeoutMs } });
	return {
		...{ transport, engine, publisher, errors },
		publish: (channel, n) => publisher.publish(envelopeOf(channel, n)),
		async open(channel, cursor) {
			const stream = { numbers: [] as number[], marks: [] as Reason[], cursor: "", close: () => feed.close() };
			const see = (next: string | undefined) => {
				if (next !== undefined) stream.cursor = next;
			};
			const feed = openFeed(
				{ engines: [engine], clock: systemClock, report },
				{ channels: [channel], ...(cursor !== undefined && { cursor }) },
				{
					deliver(envelope, next) {
						stream.numbers.push(numberOf(envelope));
						see(next);
					},
					mark(reason, next) {
						stream.marks.push(reason);
						see(next);
					},
					cursor: see,
					end: (reason) => void stream.marks.push(reason),
				},
			);
			await feed.opened;
			return stream;
		},
		async close() {
			publisher.close();
			engine.close();
			await transport.close();
		},
	};
}
