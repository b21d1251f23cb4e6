/** Resumes and reconnects on a real log: one after the other, a thousand at once, ten thousand channels after a cut. */
import { Redis } from "ioredis";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Feed, Sink } from "../../lambda/layer/src/core/client-feed.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { encodeLane, laneTag, NO_LANES, placeCode } from "../../lambda/layer/src/core/cursor.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Position } from "../../lambda/layer/src/core/position.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { createEngine, type Engine } from "../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../lambda/layer/src/deliver/feed.ts";
import { createPublisher } from "../../lambda/layer/src/publish/publisher.ts";
import { createRedisTransport } from "../../lambda/layer/src/transports/redis/index.ts";

const ids = createIds(systemClock);
const random = () => ids.random32() / 2 ** 32;
const report = () => {};
const AT_ONCE = 2_000;

export interface ResumeFigures {
	readonly publishedPerSecond: number;
	/** Milliseconds, from opening a stream to the last event that it missed. */
	readonly oneP50: number;
	readonly oneP99: number;
	readonly thousandMs: number;
	/** Milliseconds from cutting the listener until every channel has what was published meanwhile. */
	readonly reconnectMs: number;
}

export interface ResumeSize {
	readonly url: string;
	readonly prefix: string;
	readonly sessions: number;
	/** Events for each session after the point from which it resumes. */
	readonly missed: number;
	readonly single: number;
	readonly together: number;
}

async function start(url: string, prefix: string): Promise<{ transport: Transport; engine: Engine }> {
	const parts = { clock: systemClock, ids, instanceId: ids.next() };
	const transport = createRedisTransport({ url, prefix }, parts);
	await transport.start({ report }, AbortSignal.timeout(10_000));
	return { transport, engine: createEngine(transport, { clock: systemClock, random, report }) };
}

function envelopeOf(channel: Channel): Envelope {
	const params = { level: "info", data: { text: "x".repeat(100) } };
	const message = { jsonrpc: "2.0", method: "notifications/message", params } as const;
	return { v: 1, id: ids.next(), channel, message, publishedAt: Date.now(), origin: "bench", lanes: ["redis"] };
}

/** Opens a stream at a cursor; resolves when it has shown so many events. */
function resume(engine: Engine, channel: Channel, cursor: string | undefined, events: number) {
	let shown = 0;
	let done = () => {};
	const whole = new Promise<void>((resolve) => {
		done = resolve;
	});
	const sink: Sink = {
		deliver() {
			shown += 1;
			if (shown === events) done();
		},
		mark: (reason) => console.log(`a stream was told ${reason}`),
		cursor() {},
		end: (reason) => console.log(`a stream ended: ${reason}`),
	};
	const feed: Feed = openFeed({ engines: [engine], clock: systemClock, report }, { channels: [channel], cursor }, sink);
	return { whole, feed };
}

export async function measureResumes(size: ResumeSize): Promise<ResumeFigures> {
	const { url, prefix, sessions, missed, single, together } = size;
	const writer = await start(url, prefix);
	const publisher = createPublisher(writer.transport, { clock: systemClock, random });
	const channels = Array.from({ length: sessions }, (_, n) => createChannel("session", `session-${n}`));
	const publishAll = async (): Promise<Position[]> => {
		const positions: Position[] = [];
		for (let at = 0; at < channels.length; at += AT_ONCE) {
			const some = channels.slice(at, at + AT_ONCE);
			for (const outcome of await Promise.all(some.map((channel) => publisher.publish(envelopeOf(channel))))) {
				if (!outcome.ok || outcome.position === undefined) throw new Error("a publish was refused");
				positions.push(outcome.position);
			}
		}
		return positions;
	};
	const place = placeCode(writer.transport.place);
	const cursors = (await publishAll()).map(
		(position, n) => NO_LANES + encodeLane(laneTag(channels[n] as Channel), place, position),
	);
	const startedAt = performance.now();
	for (let n = 0; n < missed; n += 1) await publishAll();
	const publishedPerSecond = (sessions * missed) / ((performance.now() - startedAt) / 1000);

	const reader = await start(url, prefix);
	const took: number[] = [];
	for (let n = 0; n < single; n += 1) {
		const at = (n * 7919) % sessions;
		const from = performance.now();
		const { whole, feed } = resume(reader.engine, channels[at] as Channel, cursors[at], missed);
		await whole;
		took.push(performance.now() - from);
		feed.close();
	}
	took.sort((a, b) => a - b);

	const other = await start(url, prefix);
	const thousandFrom = performance.now();
	const streams = channels.slice(0, together).map((channel, n) => resume(other.engine, channel, cursors[n], missed));
	await Promise.all(streams.map(({ whole }) => whole));
	const thousandMs = performance.now() - thousandFrom;
	for (const { feed } of streams) feed.close();

	const follower = await start(url, prefix);
	const following = channels.map((channel) => resume(follower.engine, channel, undefined, 1));
	await Promise.all(following.map(({ feed }) => feed.opened));
	const admin = new Redis(url);
	const cutAt = performance.now();
	await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
	await publishAll();
	await Promise.all(following.map(({ whole }) => whole));
	const reconnectMs = performance.now() - cutAt;
	for (const { feed } of following) feed.close();

	admin.disconnect();
	publisher.close();
	for (const { engine, transport } of [writer, reader, other, follower]) {
		engine.close();
		await transport.close();
	}
	const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN;
	return { publishedPerSecond, oneP50: at(0.5), oneP99: at(0.99), thousandMs, reconnectMs };
}
