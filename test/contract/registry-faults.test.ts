/** What a real Redis server does to the registry beside the contract: lost subscriptions, old rows, refused ones. */
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import { type Broker, startValkey } from "../support/broker.ts";
import { waitFor } from "../support/proc.ts";
import { openGate } from "../support/tcp-gate.ts";
import { startValkeyCluster } from "../support/valkey.ts";
import { ids, namespace, open, session, tenant, until, watching } from "./registry-bench.ts";

describe("redis", () => {
	let broker: Broker;
	beforeAll(async () => {
		broker = await startValkey();
	});
	afterAll(() => broker.stop());

	test("[P3] a watcher whose connection was cut is told to list again, and hears what comes after", async () => {
		await using a = await open(createRedisStore({ url: broker.url }));
		const heard = await watching(a.registry);
		const admin = new Redis(broker.url);
		try {
			await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
			await until("the watcher suspects", () => heard.suspected === 1);
			await a.registry.claim(session("after"), a.term);
			await until("the change after the cut", () => heard.told.some(({ session: { id } }) => id === "after"));
		} finally {
			admin.disconnect();
		}
	});

	test("[P3] a watcher is told to list again once its subscription stands, and not before", async () => {
		const refusals: string[] = [];
		const onerror = ({ message }: Error) => void (message.includes("NOPERM") && refusals.push(message));
		await using a = await open(createRedisStore({ url: broker.url, onerror }));
		const heard = await watching(a.registry);
		const admin = new Redis(broker.url);
		try {
			await admin.call("ACL", "SETUSER", "default", "-subscribe");
			await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
			await until("it was refused, again and again", () => refusals.length > 1);
			expect(heard.suspected).toBe(0);
			await admin.call("ACL", "SETUSER", "default", "+subscribe");
			await until("the watcher suspects", () => heard.suspected === 1);
			await a.registry.claim(session("allowed"), a.term);
			await until("the change after it", () => heard.told.some(({ session: { id } }) => id === "allowed"));
		} finally {
			await admin.call("ACL", "SETUSER", "default", "+@all");
			admin.disconnect();
		}
	});

	test("[P3] the same in a cluster, whose library tells nothing of its subscriber", async () => {
		const cluster = await startValkeyCluster();
		try {
			const nodes = cluster.primaries.map(({ host, port }) => ({ host, port }));
			const client = new Cluster(nodes, { redisOptions: { replyMapping: "legacy" } });
			client.on("error", () => {});
			await using stack = new AsyncDisposableStack();
			stack.defer(() => client.disconnect());
			await using a = await open(createRedisStore({ client }));
			const heard = await watching(a.registry);
			for (const round of [1, 2, 3]) {
				for (const { admin } of cluster.primaries) await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
				await until("the watcher suspects", () => heard.suspected === round);
				await a.registry.claim(session(`cut ${round}`), a.term);
				await until("the change after the cut", () => heard.told.some(({ session: { id } }) => id === `cut ${round}`));
			}
		} finally {
			await cluster.stop();
		}
	});

	test("[P8] knows its own write whose answer was lost, and which a client then sent again", async () => {
		const gate = await openGate(broker.port);
		// As whoever passes one in makes it: it sends again by itself.
		const client = new Redis({ port: gate.port, replyMapping: "legacy" });
		const lose = () => {
			for (const connection of gate.connections) connection.loseAnswer();
		};
		try {
			await using a = await open(createRedisStore({ client }));
			const written = await a.registry.claim(session("scripts are loaded"), a.term);
			if (written.ok) await a.registry.remove(written.held);
			const store = createRedisStore({ client });
			const signal = AbortSignal.timeout(10_000);
			lose();
			const row = { version: "1", text: "first" };
			expect(await store.write(session("lost-answer"), row, undefined, signal)).toEqual(row);
			const next = { version: "2", text: "second" };
			lose();
			expect(await store.write(session("lost-answer"), next, row, signal)).toEqual(next);
			expect(await store.write(session("lost-answer"), { ...row, version: "3" }, row, signal)).toBeUndefined();
		} finally {
			client.disconnect();
			await gate.close();
		}
	});

	test("[P6] a row that is over is gone for reading, counting and listing, may be claimed, and is cleared", async () => {
		await using a = await open(createRedisStore({ url: broker.url, prefix: "over:" }));
		for (const id of ["old", "new"]) await a.registry.claim(session(id), a.term, { state: id });
		const admin = new Redis(broker.url);
		try {
			const expire = async (id: string) => {
				for (const key of await admin.keys("over:*expiry")) await admin.zadd(key, "XX", 1, session(id).key);
			};
			await expire("old");
			expect(await a.registry.get(session("old"))).toBeUndefined();
			expect(await a.registry.count(tenant)).toBe(1);
			expect((await a.registry.list(tenant)).sessions.map(({ state }) => state)).toEqual(["new"]);
			expect(await a.registry.claim(session("old"), a.term)).toMatchObject({ ok: true, created: true });
			await expire("new");
			// Writes clear what is over beside them: of every partition, once each has been written to.
			for (let index = 0; index < 200; index += 1) await a.registry.claim(session(`s${index}`), a.term);
			const kept = await Promise.all(
				(await admin.keys("over:*rows")).map((key) => admin.hexists(key, session("new").key)),
			);
			expect(kept.every((is) => is === 0)).toBe(true);
			const times = await Promise.all((await admin.keys("over:*")).map((key) => admin.pttl(key)));
			expect(times.every((ms) => ms > 0)).toBe(true);
		} finally {
			admin.disconnect();
		}
	});

	test("[P9] a client that was passed in stays open, and one of its own is closed", async () => {
		const client = new Redis(broker.url);
		try {
			const before = await client.client("LIST");
			const a = await open(createRedisStore({ client }));
			await a.registry.watch(tenant, { change: () => {}, suspect: () => {} });
			await a.registry.close();
			expect(await client.ping()).toBe("PONG");
			const b = await open(createRedisStore({ url: broker.url }));
			await b.registry.close();
			const lines = (list: unknown) => String(list).trim().split("\n").length;
			await waitFor("other connections are gone", async () => lines(await client.client("LIST")) === lines(before), {
				deadlineMs: 5_000,
			});
		} finally {
			client.disconnect();
		}
	});

	test("[P9] a watch that was refused is told nothing afterwards", async () => {
		const admin = new Redis(broker.url);
		const rights = ["reset", "on", "nopass", "+@all", "~*"];
		await admin.call("ACL", "SETUSER", "deaf", ...rights, "resetchannels");
		const store = createRedisStore({ url: broker.url.replace("redis://", "redis://deaf:any@"), onerror: () => {} });
		const told: string[] = [];
		const as = (name: string) => ({ changed: () => void told.push(name), suspect: () => {} });
		const scope = { namespace, tenant };
		const { signal } = new AbortController();
		try {
			await store.start(signal);
			await expect(store.watch(scope, as("refused"), signal)).rejects.toThrow("NOPERM");
			await admin.call("ACL", "SETUSER", "deaf", ...rights, "allchannels");
			await store.watch(scope, as("standing"), signal);
			await store.write(session("told"), { version: "1", text: "x" }, undefined, signal);
			await until("the change is told", () => told.includes("standing"));
			expect(told).toEqual(["standing"]);
		} finally {
			await store.close();
			admin.disconnect();
		}
	});

	test("[P7] a server that is not there fails the start within its deadline", async () => {
		const store = createRedisStore({ url: "redis://127.0.0.1:1", onerror: () => {} });
		const registry = createRegistry({ store, namespace, clock: systemClock, ids, timeoutMs: 2_000 });
		await expect(registry.start()).rejects.toMatchObject({ retryable: true });
		await registry.close();
	});
});
