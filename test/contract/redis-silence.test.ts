/** Parts of a store that answer nothing: a Sentinel, a server that takes a connection, a node, a replica, who was the primary. The rest goes on. */
import { createServer, type Server, type Socket } from "node:net";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createDialler } from "../../lambda/layer/src/transports/redis/client.ts";
import { nodeOf, slotOf } from "../../lambda/layer/src/transports/redis/cluster.ts";
import { createKeys } from "../../lambda/layer/src/transports/redis/keys.ts";
import { holdStill } from "../support/hold-still.ts";
import { freePort } from "../support/ports.ts";
import { waitFor } from "../support/proc.ts";
import { openGate } from "../support/tcp-gate.ts";
import {
	MASTER_NAME,
	pidOf,
	startSentinelGroup,
	startValkeyCluster,
	startValkeyServer,
	type ValkeyServer,
} from "../support/valkey.ts";
import { accepted, channelOf, channels, cleanUp, instance, kept, startInstance, until, upTo } from "./redis-world.ts";

afterEach(cleanUp);

/** Takes connections, as the kernel of a machine does whose processes hang, and says nothing. */
async function startSilent() {
	const sockets = new Set<Socket>();
	const server: Server = createServer((socket) => void sockets.add(socket.on("error", () => {})));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	kept({
		async close() {
			for (const socket of sockets) socket.destroy();
			await new Promise((resolve) => server.close(resolve));
		},
	});
	return { host: "127.0.0.1", port: (server.address() as { port: number }).port, sockets };
}

describe("what takes a connection and says nothing", () => {
	it("is passed over when it is a Sentinel: the next one is asked, for commands and for listeners [P7]", async () => {
		const group = kept(await startSentinelGroup());
		const nodes = [await startSilent(), ...group.sentinels].map(({ host, port }) => ({ host, port }));
		const dialler = createDialler({ sentinel: { name: MASTER_NAME, nodes } }, 2_000, {
			clock: systemClock,
			random: () => 0.5,
		});
		for (const client of [dialler.commands() as Redis, dialler.listener(undefined)]) {
			kept({ close: async () => client.disconnect() });
			client.on("error", () => {});
			client.connect().catch(() => {});
			await waitFor("it has found the primary", async () => client.status === "ready", { deadlineMs: 20_000 });
		}
	});

	it("is no reason to print anything when it is a Sentinel that is listened to for failovers", async () => {
		const printed = vi.spyOn(console, "error").mockImplementation(() => {});
		kept({ close: async () => void printed.mockRestore() });
		const group = kept(await startSentinelGroup());
		const silent = await startSilent();
		const nodes = [...group.sentinels, silent].map(({ host, port }) => ({ host, port }));
		const parts = { clock: systemClock, random: () => 0.5 };
		const client = createDialler({ sentinel: { name: MASTER_NAME, nodes } }, 2_000, parts).commands() as Redis;
		kept({ close: async () => client.disconnect() });
		client.on("error", () => {});
		await client.connect();
		await until("the silent one is listened to", () => silent.sockets.size > 0);
		// The library gives a question to a Sentinel up after a second.
		await new Promise((resolve) => setTimeout(resolve, 2_500));
		expect(printed.mock.calls).toEqual([]);
	});

	it("is given up by a listener, which dials again [P3] [P7]", async () => {
		const server = kept(await startValkeyServer());
		const gate = kept(await openGate(server.port));
		const a = await instance({ url: `redis://127.0.0.1:${gate.port}` });
		await a.open(channelOf("first"));
		const silent = await startSilent();
		const listeners = [...gate.connections].filter(({ sent }) => /\r\nsubscribe\r\n/i.test(sent));
		expect(listeners).toHaveLength(1);
		gate.target = silent.port;
		listeners[0]?.cut();
		await until("it was dialled again", () => silent.sockets.size > 0);
		gate.target = server.port;
		const keys = createKeys("fanout", 4);
		const other = channels.find((each) => keys.partitionOf(each) !== keys.partitionOf(channelOf("first")));
		if (other === undefined) throw new Error("no channel in another partition");
		let end: unknown;
		const { ready, close } = a.transport.subscribe(other, { entry() {}, suspect() {}, ended() {} });
		ready.then((at) => {
			end = at;
		});
		await until("another partition is subscribed", () => end !== undefined, 20_000);
		close();
	});
});

describe("a ready client whose server hangs", () => {
	it("ends a start in its time, which leaves nothing on it [P7] [P9]", async () => {
		const server = kept(await startValkeyServer());
		const gate = kept(await openGate(server.port));
		const client = new Redis(gate.port, "127.0.0.1");
		kept({ close: async () => client.disconnect() });
		client.on("error", () => {});
		await client.ping();
		for (const connection of gate.connections) connection.swallow();
		const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);
		const before = listeners();
		let failed: unknown;
		startInstance({ client, connectTimeoutMs: 200 }).catch((error) => {
			failed = error;
		});
		await until("the start has failed", () => failed !== undefined, 8_000);
		expect(listeners()).toEqual(before);
	});
});

describe("one node of a cluster that is down, with nobody in its place", () => {
	it("leaves a place without an end, and keeps no other from being checked [P3] [P7]", async () => {
		const cluster = kept(await startValkeyCluster());
		for (const { admin } of cluster.primaries) await admin.config("SET", "cluster-require-full-coverage", "no");
		const nodes = cluster.primaries.map(({ host, port }) => ({ host, port }));
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const some = upTo(20).map((n) => channelOf(`channel ${n}`));
		await Promise.all(some.map((channel) => accepted(a, channel, [1])));
		const keys = createKeys("fanout", 16);
		const client = createDialler({ cluster: { nodes } }, 2_000, { clock: systemClock, random: () => 0.5 }).commands();
		kept({ close: async () => client.disconnect() });
		client.on("error", () => {});
		await client.connect();
		const lost = cluster.primaries[1];
		const isLost = some.map((each) => nodeOf(client, keys.meta(keys.partitionOf(each)))?.port === lost?.port);
		expect(new Set(isLost).size).toBe(2);
		await lost?.kill();
		const bounds = await a.transport.ends(some, AbortSignal.timeout(20_000));
		expect(some.map((_, place) => bounds[place] === undefined)).toEqual(isLost);
		const gone = some.filter((_, place) => isLost[place]).slice(0, 1);
		await expect(a.transport.ends(gone, AbortSignal.timeout(20_000))).rejects.toThrow();
	});
});

describe("one node of a cluster that is held still", () => {
	const keys = createKeys("fanout", 16);
	const isStill = (channel: Channel) => slotOf(keys.meta(keys.partitionOf(channel))) < Math.floor(16_384 / 3);

	async function world() {
		const { primaries } = kept(await startValkeyCluster());
		const nodes = primaries.map(({ host, port }) => ({ host, port }));
		return { nodes, pid: await pidOf((primaries[0] as ValkeyServer).admin) };
	}

	it("keeps no other from being checked, and what is followed there is told when it goes on [P3] [P7]", async () => {
		const { nodes, pid } = await world();
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const some = upTo(20).map((n) => channelOf(`channel ${n}`));
		const told = new Set<Channel>();
		const follow = (channel: Channel) =>
			a.transport.subscribe(channel, { entry() {}, suspect: () => void told.add(channel), ended() {} });
		await Promise.all(some.map((channel) => follow(channel).ready));
		expect(new Set(some.map(isStill)).size).toBe(2);
		await holdStill(pid);
		try {
			for (const round of ["first", "next"]) {
				let bounds: unknown[] | undefined;
				a.transport.ends(some, AbortSignal.timeout(60_000)).then((found) => {
					bounds = found;
				});
				await until(`the ends of the others, the ${round} time`, () => bounds !== undefined, 20_000);
				expect(some.map((_, place) => bounds?.[place] === undefined)).toEqual(some.map(isStill));
			}
		} finally {
			process.kill(pid, "SIGCONT");
		}
		await until("all of its channels are told", () => some.filter(isStill).every((each) => told.has(each)), 20_000);
	});

	it("keeps nobody from coming back to a channel of another [P3] [P7]", async () => {
		const { nodes, pid } = await world();
		const a = await instance({ cluster: { nodes }, partitions: 16 });
		const b = await instance({ cluster: { nodes }, partitions: 16 });
		const some = upTo(60).map((n) => channelOf(`channel ${n}`));
		const before = (await Promise.all(some.map((channel) => a.open(channel)))).map((stream) => ({ ...stream }));
		await Promise.all(some.map((channel) => accepted(a, channel, upTo(3))));
		await Promise.all(some.map((channel) => b.open(channel)));
		await holdStill(pid);
		try {
			let whole = 0;
			for (const { channel, cursor } of before) {
				const shown = b.open(channel, cursor).then((stream) => until("all", () => stream.shown.length === 3, 60_000));
				if (!isStill(channel)) void shown.then(() => (whole += 1));
			}
			await until(
				"those of the others are whole",
				() => whole === some.filter((each) => !isStill(each)).length,
				20_000,
			);
		} finally {
			process.kill(pid, "SIGCONT");
		}
	});
});

describe("a replica that is gone", () => {
	it("is waited for once by all who publish meanwhile, and not once by each in turn [P7]", async () => {
		const primary = kept(await startValkeyServer());
		const a = await instance({ url: primary.url, wait: { replicas: 1, timeoutMs: 50 } });
		const some = upTo(100).map((n) => channelOf(`channel ${n}`));
		const outcomes = await Promise.all(some.map((channel, n) => a.publish(channel, n)));
		expect(new Set(outcomes.map((outcome) => outcome.ok && outcome.durability))).toEqual(new Set(["memory"]));
		const calls = /cmdstat_wait:calls=(\d+)/.exec(await primary.admin.info("commandstats"))?.[1];
		expect(Number(calls)).toBeLessThan(20);
	});
});

describe("a primary that was made a replica, of nobody who answers", () => {
	it("vouches for nothing: who hears by it alone finds the new primary within an end check or two [P3] [P7]", async () => {
		const old = kept(await startValkeyServer({ args: ["--repl-diskless-sync-delay", "0"] }));
		const next = kept(await startValkeyServer({ args: ["--replicaof", "127.0.0.1", String(old.port)] }));
		const synced = async () => (await next.admin.info("replication")).includes("master_link_status:up");
		await waitFor("the replica is in sync", synced, { deadlineMs: 10_000 });
		// As an address that moves with the primary: who is connected stays connected.
		const gate = kept(await openGate(old.port));
		const url = `redis://127.0.0.1:${gate.port}`;
		const a = await instance({ url });
		const streams = await Promise.all(channels.map((channel) => a.open(channel)));
		await next.admin.replicaof("NO", "ONE");
		gate.target = next.port;
		await old.admin.replicaof("127.0.0.1", String(await freePort()));
		const b = await instance({ url });
		await Promise.all(channels.map((channel) => accepted(b, channel, upTo(3))));
		await until("all is seen", () => streams.every(({ shown }) => shown.length === 3));
	});
});
