import { beforeEach, expect, test } from "vitest";
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createMemoryStore, MemoryTable } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { createSessions, type FanoutSessions } from "../../../lambda/layer/src/sessions/sessions.ts";
import type { Store } from "../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";

const LEASE_MS = 1_000;
const GRACE_MS = 10_000;
let clock: FakeClock;
let table: MemoryTable;

interface Node extends FanoutSessions {
	readonly ended: string[];
	readonly streaming: Set<string>;
	readonly opened: () => number;
	/** The way to the store is cut. */
	cut: boolean;
	failOpening: boolean;
}

function createNode(instance: string): Node {
	const ended: string[] = [];
	const streaming = new Set<string>();
	let opened = 0;
	const away = async () => {
		throw new FanoutError("TransportUnavailable", "the store is away", { retryable: true });
	};
	const sessions = createSessions({
		async openStore() {
			opened += 1;
			if (node.failOpening) return away();
			const store = createMemoryStore({ clock, table });
			const guarded: Partial<Store> = {
				write: (...args) => (node.cut ? away() : store.write(...args)),
				read: (...args) => (node.cut ? away() : store.read(...args)),
			};
			return { ...store, ...guarded };
		},
		options: { leaseMs: LEASE_MS },
		...{ namespace: "default", instance, clock, ids: createIds(clock, createFill(instance.charCodeAt(0))) },
		random: () => 0.5,
		report: () => {},
		hasStreams: ({ id }) => streaming.has(id),
		endStreams: (lost) => void ended.push(...lost.map(({ id }) => id)),
	});
	const extra = { ended, streaming, opened: () => opened, cut: false, failOpening: false };
	// The getters of both stay getters.
	const node = Object.defineProperties(extra, Object.getOwnPropertyDescriptors(sessions)) as unknown as Node;
	return node;
}

const session = (id: string): Channel => createChannel("session", id);

beforeEach(() => {
	clock = createFakeClock();
	table = new MemoryTable();
});

test("[P9] who never asks opens nothing: not by a drain, not by closing", async () => {
	const a = createNode("a");
	let ended = 0;
	await a.drain({ graceMs: GRACE_MS }, async ({ graceMs }) => {
		ended = graceMs;
	});
	await a.close();
	expect([a.opened(), ended, clock.waiting]).toEqual([0, GRACE_MS, 0]);
	await expect(a.claim(session("one"))).rejects.toMatchObject({ code: "Closed" });
});

test("[P7] a store that is away when it is first asked for is asked again by the next use", async () => {
	const a = createNode("a");
	a.failOpening = true;
	await expect(a.claim(session("one"))).rejects.toMatchObject({ code: "TransportUnavailable" });
	a.failOpening = false;
	expect((await a.claim(session("one"))).hold.acting).toBe(true);
	expect([a.opened(), a.owned]).toEqual([2, 1]);
	await a.close();
	expect(clock.waiting).toBe(0);
});

test("[P7] a store that was given and fails to start is started again, not given up", async () => {
	const store = createMemoryStore({ clock, table });
	let starts = 0;
	const shy: Store = {
		...store,
		async start(signal) {
			starts += 1;
			if (starts === 1) throw new Error("not yet");
			await store.start(signal);
		},
	};
	const sessions = createSessions({
		openStore: async () => shy,
		options: { store: shy },
		...{ namespace: "default", instance: "a", clock, ids: createIds(clock, createFill(1)), random: () => 0.5 },
		...{ report: () => {}, hasStreams: () => false, endStreams: () => {} },
	});
	await expect(sessions.registry()).rejects.toMatchObject({ code: "TransportUnavailable" });
	expect((await sessions.registry()).name).toBe("memory");
	await sessions.close();
	expect([starts, clock.waiting]).toEqual([2, 0]);
});

test("[P8] an owner that was cut off and replaced is refused, and its streams end as soon as it hears of it", async () => {
	const [a, b] = [createNode("a"), createNode("b")];
	const { hold } = await a.claim(session("one"), { state: { step: 1 } });
	await a.claim(session("two"));
	const lost: string[] = [];
	a.onlost((sessions) => void lost.push(...sessions.map(({ id }) => id)));
	a.cut = true;
	const taken = b.claim(session("one"), { waitMs: 10 * LEASE_MS });
	await clock.advance(2 * LEASE_MS);
	expect((await taken).record).toMatchObject({ epoch: 2, state: { step: 1 } });
	// It fenced itself before anybody could take it, and has not heard of its end yet.
	expect([hold.acting, a.ended]).toEqual([false, []]);
	a.cut = false;
	await clock.advance(LEASE_MS);
	await expect(hold.update({ state: { step: 2 } })).rejects.toMatchObject({ code: "NotOwner" });
	expect(a.ended.toSorted()).toEqual(["one", "two"]);
	expect(lost.toSorted()).toEqual(["one", "two"]);
	expect((await (await b.registry()).get(session("one")))?.state).toEqual({ step: 1 });
	// What nobody took meanwhile can be claimed again, under a new term.
	expect((await a.claim(session("two"))).record.epoch).toBe(2);
	await Promise.all([a.close(), b.close()]);
	expect(clock.waiting).toBe(0);
});

test("[P8] a drain gives a session over when no stream and no use of it is left here, at its grace at the latest", async () => {
	const [a, b] = [createNode("a"), createNode("b")];
	for (const id of ["idle", "streaming", "asked", "endless"]) await a.claim(session(id));
	a.streaming.add("streaming");
	const answered = a.use(session("asked"));
	a.use(session("endless"));
	const streams = Promise.withResolvers<void>();
	let over = false;
	const drained = a
		.drain({ graceMs: GRACE_MS }, () => streams.promise)
		.then(() => {
			over = true;
		});
	// The drain's own part of the package loads first.
	while (a.held(session("idle")) !== undefined) await clock.settle();
	expect(a.owned).toBe(3);
	expect((await b.claim(session("idle"))).record.epoch).toBe(2);
	a.streaming.delete("streaming");
	a.left(session("streaming"));
	await clock.settle();
	streams.resolve();
	await clock.settle();
	expect([a.owned, over]).toEqual([2, false]);
	answered();
	answered();
	await clock.settle();
	expect(a.held(session("asked"))).toBeUndefined();
	await expect(b.claim(session("endless"))).rejects.toMatchObject({ code: "Conflict" });
	await expect(a.claim(session("new"))).rejects.toMatchObject({ code: "Closed" });
	await clock.advance(GRACE_MS);
	await drained;
	expect((await b.claim(session("endless"))).record.epoch).toBe(2);
	await Promise.all([a.close(), b.close()]);
	expect(clock.waiting).toBe(0);
});

test("a drain goes on as before for its notice: balancers see it first", async () => {
	const a = createNode("a");
	await a.claim(session("one"));
	const graces: number[] = [];
	const drained = a.drain({ graceMs: GRACE_MS, noticeMs: 3_000 }, async ({ graceMs }) => void graces.push(graceMs));
	await clock.advance(2_999);
	expect((await a.claim(session("two"))).hold.acting).toBe(true);
	expect(graces).toEqual([]);
	await clock.advance(1);
	await drained;
	expect(graces).toEqual([7_000]);
	await a.close();
	expect(clock.waiting).toBe(0);
});

test.each(["new", "old"])(
	"a store that is first asked for in an exchange is opened after it: the %s one",
	async (by) => {
		let place = "old";
		const opened: string[] = [];
		const sessions = createSessions({
			async openStore() {
				opened.push(place);
				return createMemoryStore({ clock, table });
			},
			options: {},
			...{ namespace: "default", instance: "a", clock, ids: createIds(clock, createFill(1)), random: () => 0.5 },
			...{ report: () => {}, hasStreams: () => false, endStreams: () => {} },
		});
		const working = Promise.withResolvers<string>();
		const exchange = async () => {
			place = await sessions.exchange(
				async () => undefined,
				() => working.promise,
			);
		};
		const exchanged = exchange();
		await clock.settle();
		const registry = sessions.registry();
		await clock.settle();
		if (by === "new") working.resolve(by);
		else working.reject(new Error("refused"));
		await exchanged.catch(() => {});
		await registry;
		expect(opened).toEqual([by]);
		await sessions.close();
	},
);

test("an exchange that begins while the store is being opened comes after it", async () => {
	const a = createNode("a");
	const registry = a.registry();
	const exchanged = a.exchange(
		async () => createMemoryStore({ clock, table }),
		async () => "done",
	);
	await registry;
	expect([await exchanged, a.opened()]).toEqual(["done", 1]);
	await a.close();
});
