/** What real servers did when they were measured: tails lost in failovers, restarts with and without persistence, dead listeners. */
import type { RedisOptions } from "mcp-fanout/transports/redis";
import { afterEach, describe, expect, it } from "vitest";
import { createKeys } from "../../lambda/layer/src/transports/redis/keys.ts";
import { waitFor } from "../support/proc.ts";
import { type Gate, openGate } from "../support/tcp-gate.ts";
import {
	MASTER_NAME,
	startSentinelGroup,
	startValkeyCluster,
	startValkeyServer,
	type ValkeyServer,
} from "../support/valkey.ts";
import {
	accepted,
	channelOf,
	channels,
	cleanUp,
	type Instance,
	instance,
	kept,
	PARTITIONS,
	until,
	upTo,
} from "./redis-world.ts";

const keys = createKeys("fanout", PARTITIONS);

afterEach(cleanUp);

interface Pair {
	readonly gate: Gate;
	readonly primary: ValkeyServer;
	readonly replica: ValkeyServer;
	readonly options: RedisOptions;
	/** From now on nothing reaches the replica, and the primary does not know. */
	pauseReplication(): void;
	/** Kills the primary and makes the replica the primary. */
	failOver(): Promise<void>;
}

async function startPair(): Promise<Pair> {
	const primary = kept(await startValkeyServer({ args: ["--repl-diskless-sync-delay", "0"] }));
	// Not by stopping the replica's process: what is in its socket it would still read.
	const link = kept(await openGate(primary.port));
	const replica = kept(await startValkeyServer({ args: ["--replicaof", "127.0.0.1", String(link.port)] }));
	const synced = async () => (await replica.admin.info("replication")).includes("master_link_status:up");
	await waitFor("the replica is in sync", synced, { deadlineMs: 10_000 });
	const gate = kept(await openGate(primary.port));
	return {
		gate,
		primary,
		replica,
		options: { url: `redis://127.0.0.1:${gate.port}` },
		pauseReplication() {
			for (const connection of link.connections) connection.swallow();
		},
		async failOver() {
			await primary.kill();
			await replica.admin.replicaof("NO", "ONE");
			gate.target = replica.port;
		},
	};
}

const replicated = async ({ primary }: Pair) => {
	expect(await primary.admin.wait(1, 5_000)).toBe(1);
};

describe("a failover that lost the tail", () => {
	it("is told to every stream: open ones that saw the tail, quiet ones, and cursors that come back later [P3]", async () => {
		const pair = await startPair();
		const a = await instance(pair.options);
		const b = await instance(pair.options);
		const streams = await Promise.all([a, b].flatMap((each) => channels.map((channel) => each.open(channel))));
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(5))));
		await until("all see five", () => streams.every(({ shown }) => shown.length === 5));
		const early = streams[0]?.cursor as string;
		await replicated(pair);
		pair.pauseReplication();
		const [loud = channelOf("a")] = channels;
		await accepted(a, loud, upTo(50, 6));
		const loudStreams = streams.filter(({ channel }) => channel === loud);
		await until("the tail is seen", () => loudStreams.every(({ shown }) => shown.length === 55));
		const late = loudStreams[0]?.cursor as string;
		await pair.failOver();
		await accepted(b, loud, upTo(60, 101));
		const log = keys.log(keys.partitionOf(loud), loud);
		expect(await pair.replica.admin.xlen(log), "the tail is lost").toBe(65);
		await until("every stream is told", () => streams.every(({ told }) => told.length > 0));
		await until("and goes on", () => loudStreams.every(({ shown }) => shown.at(-1) === 160));
		for (const { told, shown } of streams) {
			expect(told).toEqual(["epoch"]);
			expect(new Set(shown).size).toBe(shown.length);
		}
		const c = await instance(pair.options);
		for (const cursor of [early, late]) {
			const resumed = await c.open(loud, cursor);
			await until("it is told and goes on", () => resumed.shown.at(-1) === 160);
			expect(resumed.told).toEqual(["epoch"]);
			expect(resumed.shown).toEqual(upTo(60, 101));
		}
	});

	it("is told even when strangers publish past the lost offsets before anybody looked [P3]", async () => {
		const pair = await startPair();
		const a = await instance(pair.options);
		const [channel = channelOf("a")] = channels;
		const stream = await a.open(channel);
		await accepted(a, channel, upTo(3));
		await replicated(pair);
		pair.pauseReplication();
		await accepted(a, channel, upTo(20, 4));
		await until("the tail is seen", () => stream.shown.length === 23);
		const { cursor } = stream;
		stream.close();
		await a.close();
		await pair.failOver();
		const stranger = await instance(pair.options);
		await accepted(stranger, channel, upTo(80, 101));
		const b = await instance(pair.options);
		const resumed = await b.open(channel, cursor);
		await until("it goes on", () => resumed.shown.at(-1) === 180);
		expect(resumed.told).toEqual(["epoch"]);
		expect(resumed.shown).toEqual(upTo(80, 101));
	});
});

/** Publishes to every channel until stopped; notes what was accepted, in call order. */
function publishing(from: Instance) {
	const sent = new Map(channels.map((channel) => [channel, [] as number[]]));
	const stop = new AbortController();
	let n = 0;
	const run = async () => {
		while (!stop.signal.aborted) {
			n += 1;
			const number = n;
			await Promise.all(
				channels.map(async (channel) => {
					const outcome = await from.publish(channel, number);
					if (outcome.ok) sent.get(channel)?.push(number);
				}),
			);
		}
	};
	const done = run();
	return {
		sent,
		get count() {
			return n;
		},
		async stop() {
			stop.abort();
			await done;
			return sent;
		},
	};
}

describe("a server that is killed and started again", () => {
	it("loses nothing with its append-only file: all that was accepted, in order, once, nobody told [P2] [P3] [P4] [P7]", async () => {
		const server = kept(await startValkeyServer({ args: ["--appendonly", "yes", "--appendfsync", "always"] }));
		const a = await instance({ url: server.url });
		const b = await instance({ url: server.url });
		const streams = await Promise.all(channels.map((channel) => b.open(channel)));
		const quiet = await b.open(channelOf("quiet"));
		const first = await a.publish(channelOf("quiet"), 1);
		expect(first).toMatchObject({ ok: true, durability: "disk" });
		const load = publishing(a);
		for (let round = 0; round < 3; round += 1) {
			const before = load.count;
			await until("it accepts", () => load.count > before + 50);
			await server.kill();
			await server.start();
		}
		const before = load.count;
		await until("it accepts again", () => load.count > before + 50);
		const sent = await load.stop();
		for (const stream of streams) {
			const numbers = sent.get(stream.channel) as number[];
			await until("all is seen", () => stream.shown.length >= numbers.length);
			expect(stream.shown).toEqual(numbers);
			expect(stream.told).toEqual([]);
		}
		expect(quiet.told).toEqual([]);
		expect(quiet.shown).toEqual([1]);
	});

	it("without persistence: every stream is told, quiet ones and cursors too, and goes on [P3] [P7]", async () => {
		const server = kept(await startValkeyServer());
		const a = await instance({ url: server.url });
		const b = await instance({ url: server.url });
		const streams = await Promise.all(channels.map((channel) => b.open(channel)));
		await Promise.all(channels.slice(1).map((channel) => accepted(a, channel, upTo(10))));
		await until("all see ten", () => streams.slice(1).every(({ shown }) => shown.length === 10));
		const { cursor } = streams[1] as (typeof streams)[number];
		await server.kill();
		await server.start();
		await until("every stream is told", () => streams.every(({ told }) => told.length > 0));
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(15, 101))));
		await until("and goes on", () => streams.every(({ shown }) => shown.at(-1) === 115));
		for (const { told, shown } of streams) {
			expect(told).toEqual(["epoch"]);
			expect(shown.slice(-15)).toEqual(upTo(15, 101));
		}
		const resumed = await b.open(channels[1] as (typeof channels)[number], cursor);
		await until("a cursor is told", () => resumed.shown.at(-1) === 115);
		expect(resumed.told).toEqual(["epoch"]);
	});
});

describe("what is lost under the transport", () => {
	it("a log that was evicted or has expired is told as retention, never silently empty [P3]", async () => {
		const server = kept(await startValkeyServer());
		const a = await instance({ url: server.url });
		const [channel = channelOf("a")] = channels;
		const stream = await a.open(channel);
		await accepted(a, channel, upTo(3));
		await until("three are seen", () => stream.shown.length === 3);
		const { cursor } = stream;
		await accepted(a, channel, [4]);
		const partition = keys.partitionOf(channel);
		await server.admin.del(keys.state(partition, channel), keys.log(partition, channel));
		const b = await instance({ url: server.url });
		const resumed = await b.open(channel, cursor);
		await until("it is told", () => resumed.told.length > 0);
		await accepted(b, channel, [9]);
		await until("both go on", () => resumed.shown.includes(9) && stream.shown.includes(9));
		expect(resumed.told).toEqual(["retention"]);
		expect(resumed.shown).toEqual([9]);
		expect(stream.shown).toEqual([1, 2, 3, 4, 9]);
	});

	it("a listener that is dead without a sign is found by its beat, and nothing is lost [P3] [P7]", async () => {
		const server = kept(await startValkeyServer());
		const gate = kept(await openGate(server.port));
		const a = await instance({ url: `redis://127.0.0.1:${gate.port}` });
		const b = await instance({ url: server.url });
		const [channel = channelOf("a")] = channels;
		const stream = await a.open(channel);
		await accepted(b, channel, upTo(5));
		await until("five are seen", () => stream.shown.length === 5);
		const listeners = [...gate.connections].filter(({ sent }) => /\r\nsubscribe\r\n/i.test(sent));
		expect(listeners.length).toBe(1);
		for (const listener of listeners) listener.swallow();
		await accepted(b, channel, upTo(5, 6));
		await until("the rest is seen", () => stream.shown.length === 10);
		const found = () => a.events.some((event) => event.kind === "error" && /heard nothing/.test(event.error.message));
		await until("the dead listener is found", found);
		await until("another one stands", () => a.events.filter(({ kind }) => kind === "connected").length >= 2);
		await accepted(b, channel, upTo(5, 11));
		await until("and hears", () => stream.shown.length === 15);
		expect(stream.shown).toEqual(upTo(15));
		expect(stream.told).toEqual([]);
	});
});

describe("failover by others", () => {
	it("under Sentinels: the primary is killed, streams are told and go on at the new one [P3] [P7]", async () => {
		const group = kept(await startSentinelGroup());
		const nodes = group.sentinels.map(({ host, port }) => ({ host, port }));
		const options = { sentinel: { name: MASTER_NAME, nodes } };
		const a = await instance(options);
		const b = await instance(options);
		const streams = await Promise.all(channels.map((channel) => b.open(channel)));
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(5))));
		await until("all see five", () => streams.every(({ shown }) => shown.length === 5));
		await group.primary.kill();
		await waitFor("another primary", async () => (await group.current()) !== group.primary, { deadlineMs: 20_000 });
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(5, 101))));
		await until("and goes on", () => streams.every(({ shown }) => shown.at(-1) === 105));
		for (const { told, shown } of streams) {
			expect(told).toEqual(["epoch"]);
			expect(shown).toEqual([...upTo(5), ...upTo(5, 101)]);
		}
	});

	it("in a cluster: a primary is killed, its partitions move to its replica [P3] [P7]", async () => {
		const cluster = kept(await startValkeyCluster(true));
		const nodes = cluster.primaries.map(({ host, port }) => ({ host, port }));
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const b = await instance({ cluster: { nodes }, partitions: 16 });
		const streams = await Promise.all(channels.map((channel) => b.open(channel)));
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(5))));
		await until("all see five", () => streams.every(({ shown }) => shown.length === 5));
		await cluster.primaries[1]?.kill();
		await Promise.all(channels.map((channel) => accepted(a, channel, upTo(5, 101))));
		await until("all go on", () => streams.every(({ shown }) => shown.at(-1) === 105));
		for (const { told, shown } of streams) {
			expect(["", "epoch"]).toContain(told.join());
			expect(shown).toEqual([...upTo(5), ...upTo(5, 101)]);
		}
		expect(streams.some(({ told }) => told.length > 0)).toBe(true);
		expect(streams.some(({ told }) => told.length === 0)).toBe(true);
	});
});
