/** The redis transport as operators meet it: logins, mistakes, ready clients, WAIT, moved slots, files that lost their end. */
import { readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Cluster, Redis } from "ioredis";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { slotOf } from "../../lambda/layer/src/transports/redis/cluster.ts";
import { createKeys } from "../../lambda/layer/src/transports/redis/keys.ts";
import { freePort } from "../support/ports.ts";
import { waitFor } from "../support/proc.ts";
import { moveSlot, startValkeyCluster, startValkeyServer, type ValkeyServer } from "../support/valkey.ts";
import {
	accepted,
	channelOf,
	channels,
	cleanUp,
	instance,
	kept,
	PARTITIONS,
	startInstance,
	until,
	upTo,
} from "./redis-world.ts";

const keys = createKeys("fanout", PARTITIONS);
const [channel = channelOf("a")] = channels;

afterEach(cleanUp);

describe("a start", () => {
	it("that reaches nobody says where it looked and for how long [P7] [P9]", async () => {
		const port = await freePort();
		const url = `redis://user:s3cret@127.0.0.1:${port}`;
		const failing = startInstance({ url, connectTimeoutMs: 300 });
		await expect(failing).rejects.toMatchObject({ code: "TransportUnavailable", retryable: true });
		const { message } = (await failing.catch((error: Error) => error)) as Error;
		expect(message).toContain(`redis://127.0.0.1:${port} was not ready within 300 ms`);
		expect(message).toContain("ECONNREFUSED");
		expect(message).not.toContain("s3cret");
	});

	it("that reaches no Sentinel says so as well, and leaves nothing running [P7] [P9]", async () => {
		const nodes = [{ host: "127.0.0.1", port: await freePort() }];
		const failing = startInstance({ sentinel: { name: "fanout", nodes }, connectTimeoutMs: 300 });
		await expect(failing).rejects.toThrow(/sentinel fanout at 127.0.0.1:\d+ was not ready within 300 ms/);
	});

	it("that finds no TLS where it was told to use it says so [P7]", async () => {
		const server = kept(await startValkeyServer());
		const failing = startInstance({ url: server.url.replace("redis:", "rediss:"), connectTimeoutMs: 300 });
		await expect(failing).rejects.toThrow(/was not ready within 300 ms: .*TLS/);
	});

	it("with another number of partitions than the store's is refused with both [P2]", async () => {
		const server = kept(await startValkeyServer());
		await instance({ url: server.url });
		for (const partitions of [PARTITIONS - 1, PARTITIONS + 1]) {
			const other = startInstance({ url: server.url, partitions });
			await expect(other).rejects.toMatchObject({ code: "ConfigInvalid" });
			await expect(other).rejects.toThrow(`the store has ${PARTITIONS}, not ${partitions}`);
		}
		expect(await server.admin.exists(keys.meta(0).replace(":0}", `:${PARTITIONS}}`)), "none was made").toBe(0);
	});
});

it("an outage is told once by what fails in it, however often that is tried again [P7]", async () => {
	const server = kept(await startValkeyServer());
	const a = await instance({ url: server.url });
	await a.open(channel);
	const told = () => {
		const events = a.events.flatMap((event) => (event.kind === "error" ? [event.error] : []));
		return [...a.errors, ...events].map(({ message }) => message);
	};
	const checks = vi.spyOn(a.transport, "ends");
	for (const outage of [1, 2]) {
		await server.kill();
		checks.mockClear();
		await until("it was asked often", () => checks.mock.calls.length >= 8);
		const ofChecks = told().filter((message) => message.startsWith("ends could not be asked for"));
		expect(ofChecks, ofChecks.join("\n")).toHaveLength(outage);
		const ofListener = told().filter((message) => message.startsWith("the listener's connection was lost"));
		expect(ofListener.length, ofListener.join("\n")).toBeGreaterThanOrEqual(outage);
		expect(ofListener.length, ofListener.join("\n")).toBeLessThanOrEqual(3 * outage);
		await server.start();
		const before = a.events.length;
		await until("it is connected", () => a.events.slice(before).some(({ kind }) => kind === "connected"));
		await accepted(a, channel, [outage]);
		checks.mockClear();
		await until("checks answer again", () => checks.mock.settledResults.some(({ type }) => type === "fulfilled"));
	}
});

describe("ready clients", () => {
	it("are used and left open, one server and a cluster alike [P9]", async () => {
		const server = kept(await startValkeyServer());
		const cluster = kept(await startValkeyCluster());
		const clients = [
			new Redis(server.port, "127.0.0.1"),
			new Cluster(cluster.primaries.map(({ host, port }) => ({ host, port }))),
		];
		for (const client of clients) {
			kept({ close: async () => client.disconnect() });
			const a = await startInstance({ client });
			const streams = await Promise.all(channels.map((each) => a.open(each)));
			await Promise.all(channels.map((each) => accepted(a, each, upTo(3))));
			await until("all is seen", () => streams.every(({ shown }) => shown.length === 3));
			await a.close();
			expect(client.status).toBe("ready");
			expect(await client.ping()).toBe("PONG");
		}
	});

	it("keep no listener of a transport that did not start [P9]", async () => {
		const client = new Redis(await freePort(), "127.0.0.1", { retryStrategy: () => 50 });
		kept({ close: async () => client.disconnect() });
		client.on("error", () => {});
		const before = client.eventNames().map((name) => [name, client.listenerCount(name)]);
		await expect(startInstance({ client, connectTimeoutMs: 100 })).rejects.toThrow(/not ready/);
		expect(client.eventNames().map((name) => [name, client.listenerCount(name)])).toEqual(before);
	});
});

describe("what a receipt says", () => {
	it("is replicated when WAIT saw the replica, and less when it did not [P1]", async () => {
		const primary = kept(await startValkeyServer({ args: ["--repl-diskless-sync-delay", "0"] }));
		const replica = kept(await startValkeyServer({ args: ["--replicaof", "127.0.0.1", String(primary.port)] }));
		const synced = async () => (await replica.admin.info("replication")).includes("master_link_status:up");
		await waitFor("the replica is in sync", synced, { deadlineMs: 10_000 });
		const a = await instance({ url: primary.url, wait: { replicas: 1, timeoutMs: 2_000 } });
		expect(await a.publish(channel, 1)).toMatchObject({ ok: true, durability: "replicated" });
		await replica.kill();
		const b = await instance({ url: primary.url, wait: { replicas: 1, timeoutMs: 50 } });
		expect(await b.publish(channel, 2)).toMatchObject({ ok: true, durability: "memory" });
	});
});

describe("an append-only file that lost its end", () => {
	async function lostEnd(seen: readonly number[]): Promise<{ server: ValkeyServer; lose(): Promise<void> }> {
		const server = kept(await startValkeyServer({ args: ["--appendonly", "yes", "--appendfsync", "always"] }));
		const a = await startInstance({ url: server.url });
		await accepted(a, channel, seen);
		await a.close();
		const folder = join(server.dir, "appendonlydir");
		const name = (await readdir(folder)).find((file) => file.endsWith(".incr.aof")) as string;
		const { size } = await stat(join(folder, name));
		return {
			server,
			async lose() {
				await server.kill();
				await truncate(join(folder, name), size);
				await server.start();
			},
		};
	}

	it("is told by whoever saw what is gone, to everybody [P3]", async () => {
		const { server, lose } = await lostEnd(upTo(5));
		const [a, b] = [await instance({ url: server.url }), await instance({ url: server.url })];
		const stream = await a.open(channel);
		await accepted(a, channel, upTo(20, 6));
		await until("the tail is seen", () => stream.shown.length === 20);
		// Of the same partition, and nothing of its own is lost.
		const quiet = await b.open(sibling);
		await lose();
		await accepted(b, channel, upTo(40, 101));
		await until("it goes on", () => stream.shown.at(-1) === 140);
		await until("the quiet one is told", () => quiet.told.length > 0);
		expect(stream.told).toEqual(["epoch"]);
		expect(quiet.told).toEqual(["epoch"]);
	});

	it("is told to a cursor from the lost end, though nobody is left who knew it [P3]", async () => {
		const { server, lose } = await lostEnd(upTo(5));
		const a = await startInstance({ url: server.url });
		const first = await a.open(channel);
		await accepted(a, channel, upTo(20, 6));
		await until("the tail is seen", () => first.shown.length === 20);
		const { cursor } = first;
		await a.close();
		await lose();
		const b = await instance({ url: server.url });
		// Its lane begins before the loss is passed, so that the window in memory spans it.
		const early = await b.open(channel);
		await accepted(b, channel, upTo(40, 101));
		await until("the early one sees all", () => early.shown.length === 40);
		const resumed = await b.open(channel, cursor);
		await until("it goes on", () => resumed.shown.at(-1) === 140);
		expect(resumed.told).toEqual(["epoch"]);
		expect(resumed.shown).toEqual(upTo(40, 101));
		expect(early.told).toEqual([]);
	});
});

describe("keys that go", () => {
	it("are not those of what is followed, however many that is [P3]", async () => {
		const server = kept(await startValkeyServer());
		// Renewed every second.
		const a = await instance({ url: server.url, retentionMs: 4_000 });
		const followed = upTo(1_200).map((n) => channelOf(`followed-${n}`));
		await Promise.all(followed.map((each) => a.open(each)));
		const states = followed.map((each) => keys.state(keys.partitionOf(each), each));
		for (const state of states) await server.admin.pexpire(state, 40_000);
		const renewed = async () => {
			const left = await Promise.all(states.map((state) => server.admin.pttl(state)));
			return left.every((ms) => ms > 40_000);
		};
		await waitFor("all are renewed", renewed, { deadlineMs: 20_000 });
	});

	it("leave no log that would stay for good where a log was evicted alone and begun again: it expires as its end does [P6]", async () => {
		const { url, admin } = kept(await startValkeyServer());
		const a = await instance({ url });
		await accepted(a, channel, [1]);
		const log = keys.log(keys.partitionOf(channel), channel);
		await admin.del(log);
		await accepted(a, channel, [2]);
		expect(await admin.pttl(log)).toBeGreaterThan(0);
	});

	it("leave no log that outlived its partition: it is told, and goes on [P2] [P3]", async () => {
		const server = kept(await startValkeyServer());
		const a = await instance({ url: server.url });
		const stream = await a.open(channel);
		await accepted(a, channel, upTo(20));
		await until("all is seen", () => stream.shown.length === 20);
		await server.admin.del(keys.meta(keys.partitionOf(channel)));
		await accepted(a, channel, upTo(5, 101));
		await until("it goes on", () => stream.shown.at(-1) === 105);
		expect(stream.shown).toEqual([...upTo(20), ...upTo(5, 101)]);
		expect(stream.told).toEqual(["epoch"]);
	});
});

const sibling = channelOf(
	upTo(1_000)
		.map((n) => `sibling-${n}`)
		.find((id) => keys.partitionOf(channelOf(id)) === keys.partitionOf(channel)) as string,
);

/** Of three primaries, where the second one's slots begin. */
const FIRST_OF_SECOND = Math.floor(16_384 / 3);

describe("a cluster whose slots move", () => {
	it("is listened to again where a slot went away and came back [P3]", async () => {
		const cluster = kept(await startValkeyCluster());
		const [from, to] = cluster.primaries as [ValkeyServer, ValkeyServer];
		const nodes = cluster.primaries.map(({ host, port }) => ({ host, port }));
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const wide = createKeys("fanout", 16);
		const slot = (each: Channel) => slotOf(wide.meta(wide.partitionOf(each)));
		const here = upTo(64)
			.map((n) => channelOf(`there-and-back-${n}`))
			.filter((each) => slot(each) < FIRST_OF_SECOND);
		const heard = new Map<Channel, number>();
		const entry = (each: Channel) => void heard.set(each, (heard.get(each) ?? 0) + 1);
		for (const each of here) {
			await a.transport.subscribe(each, { entry: () => entry(each), suspect() {}, ended() {} }).ready;
		}
		// Not the one that has the beat, which would be missed.
		const moving = here.findLast((each) => slot(each) !== slot(here[0] as Channel)) as Channel;
		await moveSlot(cluster, from, to, slot(moving));
		await moveSlot(cluster, to, from, slot(moving));
		let n = 0;
		const live = async () => {
			await accepted(a, moving, [++n]);
			return (heard.get(moving) ?? 0) > 0;
		};
		await waitFor("it is heard live", live, { deadlineMs: 20_000, everyMs: 200 });
	});

	it("streams go on at the new node, told or whole [P3] [P7]", async () => {
		const cluster = kept(await startValkeyCluster());
		const [from, to] = cluster.primaries as [ValkeyServer, ValkeyServer];
		const nodes = cluster.primaries.map(({ host, port }) => ({ host, port }));
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const all = upTo(16).map((n) => channelOf(`moving-${n}`));
		const streams = await Promise.all(all.map((each) => a.open(each)));
		await Promise.all(all.map((each) => accepted(a, each, upTo(3))));
		await until("all see three", () => streams.every(({ shown }) => shown.length === 3));
		const wide = createKeys("fanout", 16);
		const slots = upTo(16, 0).map((partition) => slotOf(wide.meta(partition)));
		const moving = slots.filter((slot) => slot < FIRST_OF_SECOND);
		for (const slot of moving) await moveSlot(cluster, from, to, slot);
		for (const n of upTo(10, 101)) {
			await Promise.all(all.map((each) => accepted(a, each, [n])));
		}
		await until("all see the rest", () => streams.every(({ shown }) => shown.at(-1) === 110));
		for (const { shown, told, channel: each } of streams) {
			const wasMoved = moving.includes(slotOf(wide.meta(wide.partitionOf(each))));
			expect(shown).toEqual([...upTo(3), ...upTo(10, 101)]);
			expect(told.length).toBeLessThanOrEqual(wasMoved ? 1 : 0);
		}
		const heard = () => a.events.filter(({ kind }) => kind === "disconnected").length;
		expect(heard(), "no listener was lost over it").toBe(0);
	});
});
