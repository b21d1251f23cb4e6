/** Instances of the redis transport with everything that a fleet's process has around it, and streams that take notes. */
import { createRedisTransport, type RedisOptions } from "mcp-fanout/transports/redis";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import type { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Outcome, Transport, TransportEvent } from "../../lambda/layer/src/core/transport.ts";
import { createEngine, type Engine } from "../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../lambda/layer/src/deliver/feed.ts";
import { createPublisher } from "../../lambda/layer/src/publish/publisher.ts";
import { waitFor } from "../support/proc.ts";

export const ids = createIds(systemClock);
export const PARTITIONS = 4;
const WAIT_MS = 15_000;
const START_MS = 10_000;

export function channelOf(id: string): Channel {
	return createChannel("topic", id, { namespace: "faults", tenant: "tenant" });
}

export function envelopeOf(channel: Channel, n: number): Envelope {
	const message = { jsonrpc: "2.0", method: "notifications/message", params: { n } } as const;
	return { v: 1, id: ids.next(), channel, message, publishedAt: Date.now(), origin: "test", lanes: ["redis"] };
}

export interface Notes {
	readonly channel: Channel;
	/** Numbers in the order in which they were shown. */
	readonly shown: number[];
	/** Marks and ends. */
	readonly told: string[];
	/** The newest cursor. */
	cursor: string;
	close(): void;
}

export interface Instance {
	readonly transport: Transport;
	readonly engine: Engine;
	readonly events: TransportEvent[];
	readonly errors: FanoutError[];
	publish(channel: Channel, n: number): Promise<Outcome>;
	open(channel: Channel, cursor?: string): Promise<Notes>;
	close(): Promise<void>;
}

export async function startInstance(options: RedisOptions, timeoutMs = 10_000): Promise<Instance> {
	const transport = createRedisTransport(
		{ partitions: PARTITIONS, ...options },
		{ clock: systemClock, ids, instanceId: ids.next() },
	);
	const events: TransportEvent[] = [];
	const errors: FanoutError[] = [];
	const report = (error: FanoutError) => void errors.push(error);
	const host = { report: (event: TransportEvent) => void events.push(event) };
	try {
		await transport.start(host, AbortSignal.timeout(START_MS));
	} catch (error) {
		await transport.close();
		throw error;
	}
	const random = () => ids.random32() / 2 ** 32;
	const engine = createEngine(transport, { clock: systemClock, random, report });
	const publisher = createPublisher(transport, { clock: systemClock, random, limits: { timeoutMs } });
	return {
		transport,
		engine,
		events,
		errors,
		publish: (channel, n) => publisher.publish(envelopeOf(channel, n)),
		async open(channel, cursor) {
			const shown: number[] = [];
			const told: string[] = [];
			const notes = { channel, shown, told, cursor: "", close: () => feed.close() };
			const feed = openFeed(
				{ engines: [engine], clock: systemClock, report },
				{ channels: [channel], cursor },
				{
					deliver(envelope, at) {
						const { params } = envelope.message as unknown as { params: { n: number } };
						shown.push(params.n);
						notes.cursor = at ?? notes.cursor;
					},
					mark(reason, at) {
						told.push(reason);
						notes.cursor = at;
					},
					cursor(at) {
						notes.cursor = at;
					},
					end: (reason) => void told.push(reason),
				},
			);
			await feed.opened;
			return notes;
		},
		async close() {
			publisher.close();
			engine.close();
			await transport.close();
		},
	};
}

export function until(what: string, check: () => boolean, deadlineMs = WAIT_MS): Promise<void> {
	return waitFor(what, async () => check(), { deadlineMs, everyMs: 20 });
}

export const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, index) => from + index);

export const channels = ["a", "b", "c", "d", "e", "f"].map(channelOf);

/** Publishes all at once, and insists on acceptance. */
export async function accepted(from: Instance, channel: Channel, numbers: readonly number[]): Promise<void> {
	for (const outcome of await Promise.all(numbers.map((n) => from.publish(channel, n)))) {
		if (!outcome.ok) throw outcome.error;
	}
}

const cleanups: (() => Promise<void>)[] = [];

/** Stops or closes it after the test, the newest first. */
export function kept<T extends { stop(): Promise<void> } | { close(): Promise<void> }>(thing: T): T {
	cleanups.push(() => ("stop" in thing ? thing.stop() : thing.close()));
	return thing;
}

export async function cleanUp(): Promise<void> {
	for (const clean of cleanups.splice(0).reverse()) await clean();
}

export const instance = async (options: RedisOptions): Promise<Instance> => kept(await startInstance(options));
