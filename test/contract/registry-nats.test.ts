/** What a real nats-server does to the registry's bucket beside the contract: it is lost, made anew, full of markers. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createNatsStore, type NatsStoreOptions } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import { type Broker, startNats } from "../support/broker.ts";
import { tamper } from "../support/nats-tamper.ts";
import { ids, namespace, open, session, tenant, until, watching } from "./registry-bench.ts";

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

test("[P3] a bucket that was made anew and has more by now than the one before it is suspected", async () => {
	const admin = await connect({ servers: broker.url });
	try {
		await using a = await open(build({ bucket: "anew" }));
		await a.registry.claim(session("before"), a.term);
		const heard = await watching(a.registry);
		await admin.request("$JS.API.STREAM.DELETE.KV_anew");
		// All of it before the next look.
		for (let index = 0; index < 10; index += 1) await a.registry.create(session(`s${index}`));
		await until("the watcher suspects", () => heard.suspected === 1);
		await a.registry.create(session("after"));
		await until("the change after it", () => heard.told.some(({ session: { id } }) => id === "after"));
		expect(heard.suspected).toBe(1);
	} finally {
		await admin.close();
	}
});

test("[P3] what is lost on its way out of the bucket is read again by a watch, and fails a listing", async () => {
	const connection = await connect({ servers: broker.url });
	const link = tamper(connection);
	try {
		await using a = await open(build({ bucket: "lossy" }));
		await using b = await open(createNatsStore({ connection: link.nc, bucket: "lossy" }));
		const heard = await watching(b.registry);
		const isRow = ({ headers }: { headers?: { get(name: string): string } | undefined }) =>
			(headers?.get("Nats-Subject") ?? "").includes(".session.");
		let lost = 0;
		link.arrives = (message) => !isRow(message) || lost++ > 0;
		await a.registry.create(session("first"));
		await a.registry.create(session("second"));
		const told = () => new Set(heard.told.map(({ session: { id } }) => id));
		await until("both are told", () => told().size === 2);
		expect(lost).toBeGreaterThan(0);
		lost = 0;
		await expect(b.registry.list(tenant)).rejects.toMatchObject({ code: "TransportUnavailable", retryable: true });
		expect((await b.registry.list(tenant)).sessions).toHaveLength(2);
	} finally {
		await connection.close();
	}
});

test("[P6] markers of removed sessions cost a listing a few requests, and not one for each", async () => {
	const connection = await connect({ servers: broker.url });
	const link = tamper(connection);
	try {
		await using a = await open(build({ bucket: "markers", storage: "memory" }));
		await a.registry.create(session("first"));
		for (let at = 0; at < 3_000; at += 50) {
			const passing = Array.from({ length: 50 }, (_, index) => session(`passing-${at + index}`));
			await Promise.all(passing.map(async (one) => a.registry.remove(await a.registry.create(one))));
		}
		await a.registry.create(session("last"));
		await using b = await open(createNatsStore({ connection: link.nc, bucket: "markers", storage: "memory" }));
		link.asked.length = 0;
		const page = await b.registry.list(tenant, { limit: 2 });
		expect(page.sessions.map(({ session: { id } }) => id)).toEqual(["first", "last"]);
		expect(link.asked.length).toBeLessThan(10);
	} finally {
		await connection.close();
	}
});
