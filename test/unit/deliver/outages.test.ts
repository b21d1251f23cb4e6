/** Histories of silence, late answers and slow clocks, found by review; each broke a promise once. */
import { expect, test } from "vitest";
import { decodeEnvelope, encodeEnvelope } from "../../../lambda/layer/src/core/envelope.ts";
import { BEGINNING, type Position } from "../../../lambda/layer/src/core/position.ts";
import type { Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { Recent } from "../../../lambda/layer/src/deliver/recent.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { collect } from "../../support/garbage.ts";
import { held, world } from "./history-world.ts";
import { Client } from "./world.ts";

test("[P9] closing leaves no timer while a replay cannot read, nor while a subscription never stands", async () => {
	const w = world();
	const c = w.world.channel("c");
	const first = await w.client([c]);
	first.kill();
	w.publish(c, 50);
	await w.clock.advance(20_000);
	(w.brokers[0] as (typeof w.brokers)[number]).faults.readFails = 1;
	const again = await w.client([c], first.cursor);
	await w.clock.advance(700);
	again.kill();
	const { engine } = held(w, { subscribe: () => ({ ready: new Promise(() => {}), close() {} }) });
	const never = new Client();
	never.connect([engine], w.clock, [c]);
	never.kill();
	w.world.close();
	engine.close();
	await w.clock.settle();
	expect(w.clock.waiting).toBe(0);
});

test("[P6] the recent window lets go of what it dropped over its bound of bytes", async () => {
	const { world: w } = world();
	const c = w.channel("c");
	const recent = new Recent(c, BEGINNING, { count: 256, bytes: 2_000 });
	const dropped: WeakRef<Position>[] = [];
	for (let n = 1; n <= 100; n += 1) {
		const entry = { position: { epoch: "00000001", offset: n }, envelope: w.envelope(c, ["fake"]) };
		recent.push(entry, 0);
		dropped.push(new WeakRef(entry.position));
	}
	await new Promise((resolve) => setImmediate(resolve));
	collect();
	expect(dropped.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(20);
	expect(recent.passed("none", { epoch: "00000001", offset: 100 })).toBe(false);
});

test.each([1_000, 0])(
	"[P6] the windows of all lanes together are bounded, oldest first, with end checks each %d ms; who stands at a lane's end resumes from memory all the same",
	async (endCheckMs) => {
		const w = world();
		const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number], { capabilities: { endCheckMs } });
		let reads = 0;
		const transport: Transport = {
			...inner,
			read(asks, signal) {
				reads += asks.length;
				return inner.read(asks, signal);
			},
		};
		const deps = { clock: w.clock, random: () => 0.5, report: () => {} };
		const engine = createEngine(transport, { ...deps, limits: { windowBytes: 20_000 } });
		const channels = Array.from({ length: 20 }, (_, n) => w.world.channel(`c${n}`));
		const lanes = channels.map((channel) => engine.acquire(channel));
		const clients = channels.map(() => new Client());
		for (const [n, client] of clients.entries()) client.connect([engine], w.clock, channels.slice(n, n + 1));
		await w.clock.advance(10);
		const used = () => lanes.map(({ recent }) => recent?.bytes ?? 0);
		for (const channel of channels) {
			w.publish(channel, 20);
			await w.clock.advance(1_000);
			expect(used().reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(20_000);
		}
		expect(used().at(0)).toBe(0);
		expect(used().at(-1)).toBeGreaterThan(1_000);
		const [first] = clients as [Client, ...Client[]];
		first.kill();
		first.connect([engine], w.clock, channels.slice(0, 1));
		w.publish(channels[0] as (typeof channels)[number], 1);
		await w.clock.advance(1);
		expect([reads, first.marks, first.numbers(channels[0] as (typeof channels)[number]).length]).toEqual([0, [], 21]);
		for (const client of clients) client.kill();
		engine.close();
	},
);

test("[P3] what the recent window gives back is what it was given, field by field", () => {
	const { world: w } = world();
	const c = w.channel("c");
	const at = (offset: number) => ({ epoch: "00000001", offset });
	const recent = new Recent(c, BEGINNING);
	const wire = decodeEnvelope(
		encodeEnvelope({ ...w.envelope(c, ["fake"]), trace: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` }),
		c,
	);
	const entries = [
		{ position: at(3), prev: at(0), envelope: wire },
		{ position: at(5), prev: at(3) },
		{ position: at(9), prev: at(5), envelope: w.envelope(c, ["fake", "other"]) },
	];
	for (const entry of entries) recent.push(entry, 0);
	expect(JSON.parse(JSON.stringify(recent.after(at(0))))).toEqual(JSON.parse(JSON.stringify(entries)));
	expect(recent.after(at(3))?.[1]?.envelope?.channel).toBe(c);
	expect(recent.after(at(3))?.[1]).toBe(recent.after(at(5))?.[0]);
	expect([recent.passed(wire.id, at(3)), recent.passed(wire.id, at(2))]).toEqual([true, false]);
});

test("[P3] a log that could not be reached for long is read before anything is given up", async () => {
	const { world: w, brokers, engines, publish, clock } = world();
	const c = w.channel("c");
	const one = new Client();
	one.connect(engines, clock, [c]);
	await clock.advance(10);
	const broker = brokers[0] as (typeof brokers)[number];
	Object.assign(broker.faults, { lose: 1, readFails: 1 });
	publish(c, 1);
	broker.faults.lose = 0;
	publish(c, 1);
	await clock.advance(10_000);
	Object.assign(broker.faults, { readFails: 0, stale: 1 });
	await clock.advance(1_200);
	broker.faults.stale = 0;
	await clock.advance(5_000);
	expect(one.seen).toEqual([1, 2].map((n) => ({ channel: c.key, n, early: false })));
});

test("[P3] [P7] a long outage does not last longer for lanes that failed often: an end check that is answered wakes them", async () => {
	const { world: w, brokers, publish, clock } = world();
	const broker = brokers[0] as (typeof brokers)[number];
	const engine = createEngine(createFakeTransport(broker), { clock, random: () => 0.99, report: () => {} });
	const [c, other] = [w.channel("c"), w.channel("other")];
	const one = new Client();
	one.connect([engine], clock, [c, other]);
	await clock.advance(100);
	// Both lanes fill, or one does beside another that is live.
	for (const filling of [[c, other], [c]]) {
		broker.faults.lose = 1;
		for (const channel of filling) publish(channel, 1);
		Object.assign(broker.faults, { lose: 0, readFails: 1 });
		await clock.advance(600);
		broker.faults.endsFails = 1;
		// Their waits grow to 5 s, and the last has more than three left.
		await clock.advance(37_000);
		Object.assign(broker.faults, { readFails: 0, endsFails: 0 });
		await clock.advance(1_000);
		expect(one.numbers(c).length).toBe(filling.length === 2 ? 1 : 2);
		expect(one.numbers(other)).toHaveLength(1);
	}
	engine.close();
	one.kill();
	w.close();
	await clock.settle();
	expect(clock.waiting).toBe(0);
});

test("[P3] a lane that opens late goes on from the cursor: nothing is missing, so nothing is told; who has no cursor is told", async () => {
	const { world: w, brokers, publish, client, clock } = world();
	const c = w.channel("c");
	const first = await client([c]);
	publish(c, 2);
	await clock.advance(10);
	first.kill();
	await clock.advance(20_000);
	const broker = brokers[0] as (typeof brokers)[number];
	broker.faults.endsFails = 1;
	publish(c, 2);
	const [resumed, fresh] = [await client([c], first.cursor), await client([c])];
	await clock.advance(6_000);
	expect([resumed.marks, fresh.marks]).toEqual([[], ["gap"]]);
	broker.faults.endsFails = 0;
	publish(c, 1);
	await clock.advance(10_000);
	publish(c, 1);
	await clock.advance(10);
	expect(resumed.seen).toEqual([3, 4, 5, 6].map((n) => ({ channel: c.key, n, early: false })));
	expect(fresh.numbers(c)).toEqual([6]);
});

test("[P3] a process that was held still in the middle of a look at a replica that was behind looks again, and tells nothing", async () => {
	const { world: w, brokers, publish, client, clock } = world();
	const c = w.channel("c");
	const one = await client([c]);
	const broker = brokers[0] as (typeof brokers)[number];
	Object.assign(broker.faults, { lose: 1, stale: 1 });
	publish(c, 1);
	broker.faults.lose = 0;
	publish(c, 1);
	await clock.advance(10);
	// Time goes on and no timer runs: the process does not.
	const { monotonic } = clock;
	Object.assign(clock, { monotonic: () => monotonic() + 60_000 });
	await clock.advance(300);
	broker.faults.stale = 0;
	await clock.advance(5_000);
	expect(one.seen).toEqual([1, 2].map((n) => ({ channel: c.key, n, early: false })));
});

test("[P3] a live stream shows what a publisher with a slow clock says, whatever its `since`", async () => {
	const { world: w, publish, client } = world();
	const c = w.channel("c");
	const one = await client([c], undefined, w.clock.now() + 50);
	const { now } = w.clock;
	Object.assign(w.clock, { now: () => now() - 1_000 });
	publish(c, 1);
	await w.clock.advance(10);
	expect(one.numbers(c)).toEqual([1]);
});

test("[P3] a lane whose end cannot be asked for keeps nobody else from finding a lost end", async () => {
	const w = world();
	const [bad, good] = [w.world.channel("bad"), w.world.channel("good")];
	const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number]);
	const transport: Transport = {
		...inner,
		ends: (channels, signal) =>
			channels.some(({ key }) => key === bad.key) ? new Promise(() => {}) : inner.ends(channels, signal),
	};
	const engine = createEngine(transport, {
		clock: w.clock,
		random: () => 0.5,
		report: () => {},
		limits: { endsBatch: 1 },
	});
	const one = new Client();
	one.connect([engine], w.clock, [bad, good]);
	await w.clock.advance(10);
	(w.brokers[0] as (typeof w.brokers)[number]).faults.lose = 1;
	w.publish(good, 1);
	await w.clock.advance(12_000);
	expect(one.numbers(good)).toEqual([1]);
	engine.close();
	await w.clock.settle();
	w.world.close();
	expect(w.clock.waiting).toBe(0);
});

test("[P3] lanes are checked in as many questions as they have to be: all in one where the transport asks by partition", async () => {
	const w = world();
	const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number]);
	for (const [endsBatch, most] of [
		[undefined, 2],
		[100, 100],
	] as const) {
		const asked: number[] = [];
		const { capabilities } = inner;
		const transport: Transport = {
			...inner,
			capabilities: endsBatch === undefined ? capabilities : { ...capabilities, endsBatch },
			ends: (channels, signal) => {
				asked.push(channels.length);
				return inner.ends(channels, signal);
			},
		};
		const limits = { endsBatch: 2 };
		const engine = createEngine(transport, { clock: w.clock, random: () => 0.5, report: () => {}, limits });
		const channels = Array.from({ length: 5 }, (_, n) => w.world.channel(`c${n}`));
		new Client().connect([engine], w.clock, channels);
		await w.clock.advance(10);
		asked.length = 0;
		await w.clock.advance(600);
		expect(Math.max(...asked)).toBe(Math.min(5, most));
		expect(asked.reduce((sum, count) => sum + count)).toBe(5);
		engine.close();
	}
});

test("[P5] a `since` that is no number is refused: it would hold nothing back", () => {
	const { world: w, engines, clock } = world();
	expect(() => new Client().connect(engines, clock, [w.channel("c")], Number.NaN)).toThrow(
		expect.objectContaining({ code: "InvalidCursor" }),
	);
});

test("[P9] a lane that is closed while it reads what it missed waits for nothing more", async () => {
	const w = world();
	const c = w.world.channel("c");
	let reads = 0;
	const read: Transport["read"] = async function* () {
		reads += 1;
		await new Promise(() => {});
	};
	const { engine } = held(w, { read });
	new Client().connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	(w.brokers[0] as (typeof w.brokers)[number]).faults.lose = 1;
	w.publish(c, 1);
	(w.brokers[0] as (typeof w.brokers)[number]).faults.lose = 0;
	w.publish(c, 1);
	await w.clock.advance(10);
	expect(reads).toBe(1);
	engine.close();
	await w.clock.settle();
	w.world.close();
	expect(w.clock.waiting).toBe(0);
});
