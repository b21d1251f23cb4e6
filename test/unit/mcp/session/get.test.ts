import { afterEach, expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { settle } from "../../../support/settle.ts";
import { buildV2, type FleetOptions, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { callTool, follow, get, note, numbers, open, remove } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};
const listen = async (place: number, session: string, lastEventId?: string) =>
	follow(await fleet.call(place, get(session, lastEventId)));
const send = (place: number, session: string, n: number) => fleet.fanouts[place]?.to({ session }).send(note(n));

test("[P3] a GET stream on another process hears the session, its principal and everyone; the first frame is a cursor", async () => {
	await start(2, { principal: ({ authInfo }) => authInfo.extra?.sub as string });
	const ann = { authInfo: { extra: { sub: "ann" } } };
	const session = await open(fleet, 0, undefined, ann);
	const stream = follow(await fleet.call(1, get(session), ann));
	await expect.poll(() => stream.frames.length).toBe(1);
	expect(stream.frames[0]).toMatchObject({ event: "cursor", data: "" });
	expect(stream.retry).toBe("1000");
	expect(stream.headers.get("mcp-session-id")).toBe(session);
	await send(0, session, 1);
	await fleet.fanouts[0]?.to({ principal: "ann" }).send(note(2));
	await fleet.fanouts[1]?.to({ principal: "bob" }).send(note(666));
	await fleet.fanouts[1]?.notify.toolsChanged();
	await fleet.fanouts[0]?.to({ everyTenant: true }).notify.promptsChanged();
	await expect.poll(() => stream.messages.length).toBe(4);
	const heard = stream.messages.map(({ method, params }) => params?.data ?? method);
	expect(heard.toSorted()).toEqual([1, 2, "notifications/prompts/list_changed", "notifications/tools/list_changed"]);
});

test("[P3] what comes between initialize and the first GET, and while no stream stands, is not lost", async () => {
	await start(3);
	const session = await open(fleet, 0);
	await send(1, session, 1);
	await fleet.fanouts[2]?.notify.toolsChanged();
	const first = await listen(1, session);
	await expect.poll(() => first.messages.length).toBe(2);
	await send(0, session, 2);
	await expect.poll(() => first.messages.length).toBe(3);
	const cursor = first.frames.at(-1)?.id;
	await first.cancel();
	await send(0, session, 3);
	await send(0, session, 4);
	const second = await listen(2, session, cursor);
	await expect.poll(() => numbers(second)).toEqual([3, 4]);
});

test("[P3] a stream that broke before any id came starts again where it did: the floor, also for old clients", async () => {
	await start(3);
	for (const version of ["2025-11-25", "2025-06-18"]) {
		const session = await open(fleet, 0, version);
		const first = await listen(0, session);
		await send(0, session, 1);
		await expect.poll(() => numbers(first)).toEqual([1]);
		// Old clients get no frame that only moves their cursor.
		expect(first.frames.length).toBe(version === "2025-11-25" ? 2 : 1);
		const cursor = first.frames.at(-1)?.id as string;
		await first.cancel();
		await send(0, session, 2);
		await (await listen(1, session, cursor)).cancel();
		// The client took nothing of that stream, and forgot where it was.
		const third = await listen(2, session);
		await expect.poll(() => numbers(third)).toEqual([2]);
	}
});

test.each([undefined, "held"] as const)(
	"[P3] a log that was lost before the first GET is told (follow: %s)",
	async (follow) => {
		await start(2, { eager: true, follow });
		const session = await open(fleet, 0);
		await send(0, session, 1);
		fleet.broker.reset(createChannel("session", session));
		await send(0, session, 2);
		const stream = await listen(1, session);
		await expect.poll(() => numbers(stream)).toContain(2);
		expect(numbers(stream)).not.toContain(1);
		expect(stream.messages.map(({ method }) => method)).toContain("notifications/tools/list_changed");
	},
);

test("[P3] what a server says while it is built is not lost, where logs have an epoch before their first entry", async () => {
	await start(2, {
		eager: true,
		async build(place, { session }) {
			if (place === 0) await send(0, session.id, 1);
			return buildV2(place, fleet.tools, session);
		},
	});
	const session = await open(fleet, 0);
	const stream = await listen(1, session);
	await expect.poll(() => numbers(stream)).toEqual([1]);
});

test("the newest GET wins, on whichever process, and the older one ends; none is refused", async () => {
	await start(3);
	const session = await open(fleet, 0);
	const older = await listen(1, session);
	const newer = await listen(2, session);
	await older.ended;
	const newest = await listen(2, session);
	await newer.ended;
	await send(0, session, 1);
	await expect.poll(() => numbers(newest)).toEqual([1]);
	expect([older.status, newer.status, newest.status]).toEqual([200, 200, 200]);
	expect([older.messages, newer.messages]).toEqual([[], []]);
	expect(newest.isEnded).toBe(false);
});

test("two GETs at the same moment: one of them stays", async () => {
	await start(3);
	const session = await open(fleet, 0);
	const streams = await Promise.all([0, 1, 2, 0, 1].map((place) => listen(place, session)));
	await expect.poll(() => streams.filter(({ isEnded }) => !isEnded).length).toBe(1);
	await settle();
	expect(streams.filter(({ isEnded }) => !isEnded)).toHaveLength(1);
});

test("DELETE ends the GET stream, wherever it is", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const stream = await listen(1, session);
	expect((await fleet.call(0, remove(session))).status).toBe(200);
	await stream.ended;
	expect((await listen(1, session)).status).toBe(404);
});

test("resources/updated comes to subscribers only, whichever process the subscription was made at", async () => {
	await start(3, { clock: createFakeClock() });
	const session = await open(fleet, 0);
	const stream = await listen(1, session);
	const ask = (place: number, method: string, uri: string, id: number) =>
		fleet.call(place, post({ jsonrpc: "2.0", id, method, params: { uri } }, session));
	const update = (uri: string) => fleet.fanouts[0]?.notify.resourceUpdated(uri);
	await update("a://1");
	expect(await (await ask(2, "resources/subscribe", "a://2", 5)).json()).toMatchObject({ id: 5, result: {} });
	// At once: the stream knows of the subscription before the client does.
	await update("a://1");
	await update("a://2");
	await expect.poll(() => stream.messages.map(({ params }) => params?.uri)).toEqual(["a://2"]);
	await (await ask(0, "resources/unsubscribe", "a://2", 6)).text();
	await update("a://2");
	await send(0, session, 1);
	await expect.poll(() => stream.messages.length).toBe(2);
	// A stream opened later knows it too.
	await ask(2, "resources/subscribe", "a://3", 7);
	const next = await listen(2, session, stream.frames.at(-1)?.id);
	await update("a://2");
	await update("a://3");
	await expect.poll(() => next.messages.map(({ params }) => params?.uri)).toEqual(["a://3"]);
});

test("[P3] a subscription is answered when the stream knows of it, however slow its process is", async () => {
	const slow = (store: Store, place: number): Store => ({
		...store,
		async read(...args) {
			if (place === 1) await settle(50);
			return store.read(...args);
		},
	});
	// It is waited for half a second: of a clock that stands, or a busy machine takes longer.
	await start(3, { store: slow, clock: createFakeClock() });
	const session = await open(fleet, 0);
	const stream = await listen(1, session);
	const params = { uri: "a://1" };
	await (await fleet.call(2, post({ jsonrpc: "2.0", id: 5, method: "resources/subscribe", params }, session))).text();
	await fleet.fanouts[0]?.notify.resourceUpdated("a://1");
	await expect.poll(() => stream.messages.map(({ params }) => params?.uri)).toEqual(["a://1"]);
});

test("what a server says of its own accord comes to the GET stream, wherever the server runs", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const stream = await listen(1, session);
	await callTool(fleet, 0, session, "announce");
	await expect.poll(() => stream.messages.map(({ method }) => method)).toEqual(["notifications/tools/list_changed"]);
});

test("[P5] a Last-Event-ID that is forged, of another session or of another principal shows nothing of theirs", async () => {
	await start(2);
	const [mine, theirs] = [await open(fleet, 0), await open(fleet, 0)];
	const stream = await listen(0, theirs);
	await send(0, theirs, 666);
	await expect.poll(() => numbers(stream)).toEqual([666]);
	const foreign = stream.frames[0]?.id as string;
	for (const cursor of [foreign, `1${"A".repeat(24)}`, "nonsense", "p1.1", "1".repeat(2_000)]) {
		const forged = await listen(1, mine, cursor);
		expect(forged.status).toBe(200);
		// Told in the way that clients understand: look again.
		await expect.poll(() => forged.messages.map(({ method }) => method)).toContain("notifications/tools/list_changed");
		expect(numbers(forged)).not.toContain(666);
		await forged.cancel();
	}
	// Nor does it reach what everyone heard before the session was opened.
	await fleet.fanouts[0]?.notify.promptsChanged();
	await settle();
	expect((await listen(0, await open(fleet, 1))).messages).toEqual([]);
});

test("[P7] the registry cannot be reached: sessions that are here go on, others are asked to come again", async () => {
	let isAway = false;
	const away = (store: Store): Store => ({
		...store,
		read: (...args) => (isAway ? Promise.reject(new Error("away")) : store.read(...args)),
	});
	await start(2, { store: away });
	const session = await open(fleet, 0);
	const older = await listen(0, session);
	isAway = true;
	expect((await callTool(fleet, 0, session, "where")).body).toContain('"0"');
	const elsewhere = await fleet.call(1, post(tool("where"), session));
	expect([elsewhere.status, elsewhere.headers.get("retry-after")]).toEqual([503, "1"]);
	const stream = await listen(0, session);
	await older.ended;
	await send(1, session, 1);
	await expect.poll(() => numbers(stream)).toEqual([1]);
	isAway = false;
	expect((await callTool(fleet, 1, session, "where")).body).toContain('"1"');
});

test("a GET that was opened without the registry ends when a newer one is, wherever that is", async () => {
	let isAway = false;
	const away = (store: Store, place: number): Store => ({
		...store,
		read: (...args) => (isAway && place === 0 ? Promise.reject(new Error("away")) : store.read(...args)),
	});
	await start(2, { store: away, sessionOptions: { idleMs: 1_600 } });
	const session = await open(fleet, 0);
	isAway = true;
	const older = await listen(0, session);
	isAway = false;
	const newer = await listen(1, session);
	await older.ended;
	await send(0, session, 1);
	await expect.poll(() => numbers(newer)).toEqual([1]);
});

test("a GET that was opened without the registry ends no newer one, however late the fleet is told of it", async () => {
	let isAway = false;
	const away = (store: Store, place: number): Store => ({
		...store,
		read: (...args) => (isAway && place === 0 ? Promise.reject(new Error("away")) : store.read(...args)),
	});
	await start(2, { store: away });
	const session = await open(fleet, 0);
	isAway = true;
	fleet.broker.faults.refuse = 1;
	await listen(0, session);
	isAway = false;
	const newer = await listen(1, session);
	fleet.broker.faults.refuse = 0;
	await fleet.fanouts[0]?.flush();
	await settle();
	await send(0, session, 1);
	await expect.poll(() => numbers(newer)).toEqual([1]);
});

test("a GET that was opened without the registry ends one that was opened so before it, wherever that is", async () => {
	let isAway = false;
	const away = (store: Store): Store => ({
		...store,
		read: (...args) => (isAway ? Promise.reject(new Error("away")) : store.read(...args)),
	});
	await start(2, { store: away });
	const session = await open(fleet, 0);
	await callTool(fleet, 1, session, "where");
	isAway = true;
	const older = await listen(0, session);
	await settle();
	const newer = await listen(1, session);
	await older.ended;
	await send(0, session, 1);
	await expect.poll(() => numbers(newer)).toEqual([1]);
});
