/** What a client set through one process, at the servers and streams of its session in others. */
import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Json } from "../../../../lambda/layer/src/sessions/record.ts";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { settle } from "../../../support/settle.ts";
import { buildV2, type FleetOptions, post, type SessionFleet, startSessions } from "./fleet.ts";
import { callTool, follow, get, open } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());

/** A fleet whose servers say what they are told; building one at place 1 takes as long as the test says. */
async function start(size: number, options: FleetOptions = {}) {
	const told: string[] = [];
	const building = { until: Promise.resolve() };
	fleet = await startSessions(size, {
		async build(place, { session }) {
			const server = buildV2(place, fleet.tools, session);
			const hear = (method: "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe") =>
				server.server.setRequestHandler(method, async ({ params }) => {
					told.push(`${place} ${method.split("/")[1]} ${Object.values(params)[0]}`);
					return {};
				});
			hear("logging/setLevel");
			hear("resources/subscribe");
			hear("resources/unsubscribe");
			if (place === 1) await building.until;
			return server;
		},
		...options,
	});
	return { told, building };
}

const ask = async (place: number, session: string, method: string, params: object) =>
	(await fleet.call(place, post({ jsonrpc: "2.0", id: crypto.randomUUID(), method, params }, session))).text();

test("a server hears of what the client set while it was built", async () => {
	const { told, building } = await start(2);
	const session = await open(fleet, 0);
	const built = Promise.withResolvers<void>();
	building.until = built.promise;
	const called = callTool(fleet, 1, session, "where");
	await settle();
	await ask(0, session, "logging/setLevel", { level: "warning" });
	await ask(0, session, "resources/subscribe", { uri: "a://1" });
	await settle();
	built.resolve();
	expect((await called).status).toBe(200);
	expect(told).toEqual(["0 setLevel warning", "0 subscribe a://1", "1 setLevel warning", "1 subscribe a://1"]);
});

test("[P3] what nobody could tell costs a second: a server in use then does as the record says", async () => {
	const { told } = await start(2);
	const session = await open(fleet, 0);
	await ask(0, session, "resources/subscribe", { uri: "a://1" });
	await callTool(fleet, 1, session, "where");
	await ask(1, session, "resources/subscribe", { uri: "a://2" });
	await expect.poll(() => told.length).toBe(4);
	told.length = 0;
	const registry = await fleet.fanouts[0]?.sessions.registry();
	const record = await registry?.get(createChannel("session", session));
	if (record === undefined) throw new Error("no record");
	const facts = { ...(record.facts as Record<string, Json>), uris: ["a://2", "a://3"], logLevel: "error" };
	await registry?.update(record, { facts });
	const expected = ["1 setLevel error", "1 subscribe a://3", "1 unsubscribe a://1"];
	await expect
		.poll(
			async () => {
				await callTool(fleet, 1, session, "where");
				return told.toSorted();
			},
			{ timeout: 20_000, interval: 200 },
		)
		.toEqual(expected);
	await settle(1_200);
	await callTool(fleet, 1, session, "where");
	await settle();
	// Once each; and what it had set itself it is told not again.
	expect(told.toSorted()).toEqual(expected);
});

test("what the record does not take, the server takes back", async () => {
	let isAway = false;
	const away = (store: Store): Store => ({
		...store,
		write: (...args) => (isAway ? Promise.reject(new Error("away")) : store.write(...args)),
	});
	const { told } = await start(1, { store: away });
	const session = await open(fleet, 0);
	isAway = true;
	expect(await ask(0, session, "resources/subscribe", { uri: "a://1" })).toContain('"error"');
	isAway = false;
	expect(told).toEqual(["0 subscribe a://1", "0 unsubscribe a://1"]);
});

test("what a client says here is not undone by what it said elsewhere before, and is heard of meanwhile", async () => {
	const held: (() => void)[] = [];
	let isSlow = false;
	const slow = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			if (place === 1 && isSlow) {
				isSlow = false;
				await new Promise<void>((resolve) => void held.push(resolve));
			}
			return store.read(...args);
		},
	});
	const { told } = await start(2, { store: slow });
	const session = await open(fleet, 0);
	await ask(0, session, "resources/subscribe", { uri: "a://1" });
	await callTool(fleet, 1, session, "where");
	isSlow = true;
	const again = ask(1, session, "resources/subscribe", { uri: "a://1" });
	await expect.poll(() => held.length).toBe(1);
	await ask(0, session, "resources/unsubscribe", { uri: "a://1" });
	await settle();
	held[0]?.();
	expect(await again).toContain('"result"');
	await settle();
	const atOne = told.filter((one) => one.startsWith("1 "));
	expect(atOne).toEqual(["1 subscribe a://1", "1 subscribe a://1"]);
});

test("[P3] a look at the record that is answered late undoes nothing of what came meanwhile", async () => {
	const held: (() => void)[] = [];
	let isSlow = false;
	const slow = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			const row = await store.read(...args);
			if (place === 1 && isSlow) {
				isSlow = false;
				await new Promise<void>((resolve) => void held.push(resolve));
			}
			return row;
		},
	});
	await start(2, { store: slow, sessionOptions: { idleMs: 1_600 } });
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(1, get(session)));
	await expect.poll(() => stream.frames.length).toBe(1);
	isSlow = true;
	await expect.poll(() => held.length).toBe(1);
	await ask(0, session, "resources/subscribe", { uri: "a://1" });
	held[0]?.();
	await settle();
	await fleet.fanouts[0]?.notify.resourceUpdated("a://1");
	await expect.poll(() => stream.messages.map(({ params }) => params?.uri)).toEqual(["a://1"]);
});

test("[P6] many words of one session at once cost two looks at its record, and each waits for the later one", async () => {
	let looks = 0;
	const remote = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			if (place === 1) looks += 1;
			await settle(5);
			return store.read(...args);
		},
	});
	// A change waits for its sign so long as time stands: a machine that is held still for half a second takes none.
	await start(2, { store: remote, clock: createFakeClock() });
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(1, get(session)));
	await expect.poll(() => stream.frames.length).toBe(1);
	looks = 0;
	const uris = Array.from({ length: 60 }, (_, n) => `a://${n}`);
	const subscribed = uris.map(async (uri) => {
		await ask(0, session, "resources/subscribe", { uri });
		await fleet.fanouts[0]?.notify.resourceUpdated(uri);
	});
	await Promise.all(subscribed);
	await expect.poll(() => stream.messages.map(({ params }) => params?.uri).toSorted()).toEqual(uris.toSorted());
	expect(looks).toBeLessThan(10);
});

test("[P3] a write of the record that is answered late undoes nothing of what came meanwhile", async () => {
	const held: (() => void)[] = [];
	let isSlow = false;
	const slow = (store: Store, place: number): Store => ({
		...store,
		async write(...args) {
			const row = await store.write(...args);
			if (place === 0 && isSlow) {
				isSlow = false;
				await new Promise<void>((resolve) => void held.push(resolve));
			}
			return row;
		},
	});
	const { told } = await start(2, { store: slow, clock: createFakeClock() });
	const session = await open(fleet, 0);
	await callTool(fleet, 1, session, "where");
	const stream = follow(await fleet.call(0, get(session)));
	await expect.poll(() => stream.frames.length).toBe(1);
	isSlow = true;
	const first = ask(0, session, "resources/subscribe", { uri: "a://1" });
	await expect.poll(() => held.length).toBe(1);
	// Its sign says that the stream's process knows of both.
	await ask(1, session, "resources/subscribe", { uri: "a://2" });
	held[0]?.();
	await first;
	await fleet.fanouts[1]?.notify.resourceUpdated("a://1");
	await fleet.fanouts[1]?.notify.resourceUpdated("a://2");
	await expect.poll(() => stream.messages.map(({ params }) => params?.uri)).toEqual(["a://1", "a://2"]);
	expect(told.filter((one) => one.startsWith("0 "))).toEqual(["0 subscribe a://1", "0 subscribe a://2"]);
});

test("[P3] nor does a look, where only a server of the session is", async () => {
	const held: (() => void)[] = [];
	let isSlow = false;
	const slow = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			const row = await store.read(...args);
			if (place === 0 && isSlow) {
				isSlow = false;
				await new Promise<void>((resolve) => void held.push(resolve));
			}
			return row;
		},
	});
	const { told } = await start(2, { store: slow });
	const session = await open(fleet, 0);
	await callTool(fleet, 1, session, "where");
	isSlow = true;
	await ask(1, session, "resources/subscribe", { uri: "a://1" });
	await expect.poll(() => held.length).toBe(1);
	await ask(0, session, "resources/subscribe", { uri: "a://2" });
	held[0]?.();
	await settle();
	expect(told.filter((one) => one.startsWith("0 ")).toSorted()).toEqual(["0 subscribe a://1", "0 subscribe a://2"]);
});
