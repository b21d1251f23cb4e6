/**
 * `npm run bench -- nats`: acknowledged publishes a second from one process through createFanout, order per channel
 * kept, on real nats-servers; and one at a time beside js.publish of the client library, interleaved in the same run.
 */
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type Channel, createChannel, createFanout, type Fanout } from "mcp-fanout";
import type { NatsOptions } from "mcp-fanout/transports/nats";
import { startNatsServers } from "../support/nats.ts";

const SECONDS = 3;
const ROUNDS = 3;
const PADDING = "x".repeat(100);
/** Publishes that wait at once on each channel: what queues while one batch is under way is the next. */
const WAITING = { one: 2_000, many: 64 };
const ONE_BY_ONE = 5_000;
/** Medians of the same code differ by so much between runs here. */
const NOISE = 1.05;

interface Target {
	readonly name: string;
	readonly nodes: 1 | 3;
	readonly settings: NatsOptions;
	/** Acknowledged a second over 256 channels, and on one. */
	readonly many: number;
	readonly one: number;
}

const TARGETS: readonly Target[] = [
	{ name: "R1 memory", nodes: 1, settings: { storage: "memory" }, many: 50_000, one: 20_000 },
	{ name: "R1 file", nodes: 1, settings: { storage: "file" }, many: 0, one: 0 },
	{ name: "R3 memory", nodes: 3, settings: { storage: "memory", replicas: 3 }, many: 25_000, one: 0 },
];

function channelsOf(count: number, name: string): Channel[] {
	return Array.from({ length: count }, (_, index) => createChannel("session", `${name}-${index}`));
}

async function rate(fanout: Fanout, channels: readonly Channel[], waiting: number): Promise<number> {
	const until = performance.now() + SECONDS * 1_000;
	const started = performance.now();
	let accepted = 0;
	const worker = async (channel: Channel) => {
		while (performance.now() < until) {
			await fanout.publish(channel, { method: "notifications/message", params: { level: "info", data: PADDING } });
			accepted += 1;
		}
	};
	await Promise.all(channels.flatMap((channel) => Array.from({ length: waiting }, () => worker(channel))));
	return accepted / ((performance.now() - started) / 1_000);
}

function percentile(values: readonly number[], share: number): number {
	return [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? 0;
}

async function timed(times: number[], work: () => Promise<unknown>): Promise<void> {
	const started = performance.now();
	await work();
	times.push(performance.now() - started);
}

/** One at a time, alternating, so that both meet the same machine. */
async function oneByOne(fanout: Fanout, url: string): Promise<{ ours: number[]; theirs: number[] }> {
	const nc = await connect({ servers: url });
	const js = jetstream(nc);
	const [channel] = channelsOf(1, "one-by-one") as [Channel];
	const payload = JSON.stringify({
		jsonrpc: "2.0",
		method: "notifications/message",
		params: { data: PADDING.repeat(4) },
	});
	const [ours, theirs]: [number[], number[]] = [[], []];
	for (let n = 0; n < ONE_BY_ONE; n += 1) {
		const params = { level: "info", data: PADDING };
		await timed(ours, () => fanout.publish(channel, { method: "notifications/message", params }));
		await timed(theirs, () => js.publish("bench-0.plain.0.x", payload, { msgID: `id-${n}` }));
	}
	await nc.close();
	return { ours, theirs };
}

async function bench({ name, nodes, settings, many, one }: Target): Promise<boolean> {
	const servers = await startNatsServers(nodes);
	const options = { servers: servers.urls, prefix: "bench-0", maxMessages: 2_000_000, ...settings };
	const fanout = await createFanout({ nats: options, follow: false, publisher: { maxQueued: 200_000 } });
	try {
		const best = { many: 0, one: 0 };
		await rate(fanout, channelsOf(256, "warm"), WAITING.many);
		for (let round = 0; round < ROUNDS; round += 1) {
			best.many = Math.max(best.many, await rate(fanout, channelsOf(256, "many"), WAITING.many));
			best.one = Math.max(best.one, await rate(fanout, channelsOf(1, "one"), WAITING.one));
		}
		const { ours, theirs } = await oneByOne(fanout, servers.urls[0] as string);
		const ms = (times: readonly number[], share: number) => percentile(times, share).toFixed(3);
		console.log(
			`${name.padEnd(10)} ${Math.round(best.many)}/s over 256 channels (≥ ${many}), ${Math.round(best.one)}/s on one (≥ ${one}); ` +
				`one at a time p50 ${ms(ours, 0.5)} p99 ${ms(ours, 0.99)} ms, js.publish p50 ${ms(theirs, 0.5)} p99 ${ms(theirs, 0.99)} ms`,
		);
		return best.many >= many && best.one >= one && percentile(ours, 0.5) <= percentile(theirs, 0.5) * NOISE;
	} finally {
		await fanout.close();
		await servers.stop();
	}
}

export async function run(args: readonly string[]): Promise<boolean> {
	let good = true;
	for (const target of TARGETS) {
		if (args.length > 0 && !args.some((arg) => target.name.includes(arg))) continue;
		good = (await bench(target)) && good;
	}
	return good;
}
