/** What a real server does to the registry's backends beside the contract: lost subscriptions, other settings, old rows. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsStore, type NatsStoreOptions } from "../../lambda/layer/src/sessions/nats-store.ts";
import type { Registry, SessionChange } from "../../lambda/layer/src/sessions/port.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { type Broker, startNats, startValkey } from "../support/broker.ts";
import { waitFor } from "../support/proc.ts";
import { startValkeyCluster } from "../support/valkey.ts";

const namespace = "faults";
const tenant = "default";
const session = (id: string) => createChannel("session", id, { namespace });
const ids = createIds(systemClock);
const until = (what: string, holds: () => boolean) => waitFor(what, async () => holds(), { deadlineMs: 15_000 });

async function open(store: Store) {
	const registry = createRegistry({ store, namespace, clock: systemClock, ids });
	await registry.start();
	const { term } = await registry.enlist("a", 10_000);
	return { registry, term, [Symbol.asyncDispose]: () => registry.close() };
}

async function watching(registry: Registry) {
	const heard = { told: [] as SessionChange[], suspected: 0 };
	const suspect = () => {
		heard.suspected += 1;
	};
	await registry.watch(tenant, { change: (change) => void heard.told.push(change), suspect });
	return heard;
}

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

describe("nats", () => {
	let broker: Broker;
	beforeAll(async () => {
		broker = await startNats();
	});
	afterAll(() => broker.stop());
	const build = (more: Partial<NatsStoreOptions> = {}) =>
		createNatsStore({ connect: { servers: broker.url }, ...more } as NatsStoreOptions);

	test("[P9] a start that is over its deadline leaves no connection, however far it came", async () => {
		const deadline = new AbortController();
		let dialled: NatsConnection | undefined;
		const store = createNatsStore({
			bucket: "late",
			async dial() {
				dialled = await connect({ servers: broker.url });
				setImmediate(() => deadline.abort(new Error("too late")));
				return dialled;
			},
		});
		await expect(store.start(deadline.signal)).rejects.toThrow("too late");
		expect(dialled?.isClosed()).toBe(true);
	});

	test("a bucket of other settings is refused with the difference", async () => {
		await using _a = await open(build({ bucket: "settings", storage: "memory" }));
		const other = createRegistry({
			store: build({ bucket: "settings", storage: "file", retentionMs: 120_000 }),
			namespace,
			clock: systemClock,
			ids,
		});
		await expect(other.start()).rejects.toMatchObject({
			code: "ConfigInvalid",
			message: expect.stringMatching(/storage is memory, wanted file.*|retentionMs is 86400000, wanted 120000/),
		});
		await other.close();
	});

	test("[P3] changes that were republished to nobody are found by looking", async () => {
		const connection = await connect({ servers: broker.url });
		// Deaf to republished headers, as after a leader that died before it sent them.
		const subscribe = connection.subscribe.bind(connection);
		let silenced = 0;
		connection.subscribe = (subject, how) => {
			if (!subject.includes(".changes.")) return subscribe(subject, how);
			silenced += 1;
			return subscribe("nobody.says.this", how);
		};
		try {
			await using a = await open(build({ bucket: "deaf" }));
			const store = createNatsStore({ connection, bucket: "deaf" });
			await using b = await open(store);
			const told: string[] = [];
			const watch = await b.registry.watch(tenant, {
				change: ({ session: { id } }) => void told.push(id),
				suspect: () => {},
			});
			for (let index = 0; index < 600; index += 1) await a.registry.claim(session(`s${index}`), a.term);
			await until("every change", () => new Set(told).size === 600);
			await watch.close();
			expect(silenced).toBe(1);
		} finally {
			await connection.close();
		}
	}, 60_000);

	test("[P3] [P7] [P8] a bucket that was lost is made again and suspected, and what stood in it is not renewed", async () => {
		const admin = await connect({ servers: broker.url });
		try {
			await using a = await open(build({ bucket: "lost" }));
			const lease = await a.registry.enlist("b", 10_000);
			for (const id of ["1", "2", "3"]) await a.registry.claim(session(id), a.term);
			const heard = await watching(a.registry);
			await admin.request("$JS.API.STREAM.PURGE.KV_lost", "{}");
			await admin.request("$JS.API.STREAM.DELETE.KV_lost");
			await expect(a.registry.renew(lease)).rejects.toMatchObject({ code: "NotOwner" });
			await until("the watcher suspects", () => heard.suspected > 0);
			const term = (await a.registry.enlist("b", 10_000)).term;
			expect(await a.registry.claim(session("1"), term)).toMatchObject({ ok: true, created: true });
		} finally {
			await admin.close();
		}
	}, 30_000);
});
