/** Histories found by a second review: answers that come too late, and clients that do not stay. Each broke a promise once. */
import { expect, test } from "vitest";
import { encodeLane, laneTag, NO_LANES, placeCode } from "../../../lambda/layer/src/core/cursor.ts";
import type { Page, Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { Stash } from "../../../lambda/layer/src/deliver/stash.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { collect } from "../../support/garbage.ts";
import { held, world } from "./history-world.ts";
import { Client } from "./world.ts";

test("[P3] a page that was asked for before a jump says nothing of the log after it", async () => {
	const w = world();
	const c = w.world.channel("c");
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	const inner = createFakeTransport(broker);
	let answer: Promise<void> | undefined;
	const { engine, subscribers } = held(w, {
		async *read(asks, signal) {
			const pages: Page[] = [];
			for await (const page of inner.read(asks, signal)) pages.push(page);
			await answer;
			yield* pages;
		},
	});
	const one = new Client();
	one.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	w.publish(c, 5);
	const late = Promise.withResolvers<void>();
	answer = late.promise;
	broker.faults.lose = 1;
	w.publish(c, 1);
	broker.faults.lose = 0;
	w.publish(c, 1);
	await w.clock.advance(10);
	broker.log(c)?.entries.splice(3);
	subscribers[0]?.suspect();
	await w.clock.advance(10);
	expect(one.marks).toEqual(["epoch"]);
	late.resolve();
	await w.clock.advance(10);
	w.publish(c, 4);
	await w.clock.advance(20_000);
	expect(one.numbers(c).slice(-4)).toEqual([8, 9, 10, 11]);
	engine.close();
});

test("what a doubted end check throws is told as an error of ours, whatever the transport threw", async () => {
	const w = world();
	const told: unknown[] = [];
	const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number]);
	const transport: Transport = { ...inner, ends: () => Promise.reject(new TypeError("socket")) };
	const engine = createEngine(transport, { clock: w.clock, random: () => 0.5, report: (error) => told.push(error) });
	const lane = engine.acquire(w.world.channel("c"));
	await w.clock.settle();
	lane.suspect();
	await w.clock.settle();
	expect(told).toMatchObject([{ code: "TransportUnavailable", retryable: true }]);
	engine.close();
});

test("[P6] [P9] who comes and goes while a lane cannot open leaves nothing with it, and no timer", async () => {
	const w = world();
	const c = w.world.channel("c");
	const { engine } = held(w, { subscribe: () => ({ ready: new Promise(() => {}), close() {} }) });
	const stays = new Client();
	stays.connect([engine], w.clock, [c]);
	await w.clock.advance(10_000);
	const { waiting } = w.clock;
	const left: WeakRef<object>[] = [];
	for (let n = 0; n < 100; n += 1) {
		const one = new Client();
		one.connect([engine], w.clock, [c]);
		if (n % 2 > 0) await w.clock.advance(6_000);
		left.push(new WeakRef(one));
		one.kill();
	}
	await w.clock.settle();
	expect(w.clock.waiting).toBe(waiting);
	collect();
	expect(left.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(20);
	engine.close();
});

test("[P6] what a lane cannot judge yet is bounded in bytes too, and what goes is read from the log", () => {
	const w = world();
	const c = w.world.channel("c");
	const stash = new Stash({ count: 100, bytes: 10_000 });
	for (let n = 1; n <= 50; n += 1) {
		const envelope = { ...w.world.envelope(c, ["fake"]), origin: "x".repeat(3_000) };
		stash.keep({ position: { epoch: "00000001", offset: n }, envelope });
	}
	expect([stash.size, stash.target?.offset]).toEqual([3, 47]);
	expect(stash.take()).toHaveLength(3);
	stash.keep({ position: { epoch: "00000001", offset: 51 } });
	expect(stash.size).toBe(1);
});

test("[P3] [P4] an end that comes after a younger one forgets nothing of it: who waits for that one is not told of another log", async () => {
	const w = world();
	const c = w.world.channel("c");
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	const inner = createFakeTransport(broker);
	const late = Promise.withResolvers<void>();
	let asked = 0;
	/** How far the replica is that reads come from. */
	let shown = 2;
	const { engine } = held(w, {
		async ends(channels, signal) {
			const ends = await inner.ends(channels, signal);
			asked += 1;
			// The lane's own, in the middle of a fill.
			if (asked === 2) await late.promise;
			return ends;
		},
		async *read(asks, signal) {
			for await (const page of inner.read(asks, signal)) {
				yield { ...page, entries: page.entries.filter(({ position }) => position.offset <= shown) };
			}
		},
	});
	w.publish(c, 2);
	const here = new Client();
	here.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	broker.faults.lose = 1;
	w.publish(c, 1);
	broker.nudge(c);
	await w.clock.advance(1);
	w.publish(c, 1);
	const moving = new Client();
	moving.cursor = NO_LANES + encodeLane(laneTag(c), placeCode("fake/broker"), broker.endOf(c));
	moving.connect([engine], w.clock, [c]);
	await w.clock.advance(1);
	expect(asked).toBe(3);
	late.resolve();
	shown = 3;
	await w.clock.advance(1_000);
	shown = 4;
	await w.clock.advance(5_000);
	expect([here.marks, here.numbers(c)]).toEqual([[], [3, 4]]);
	expect([moving.marks, moving.numbers(c)]).toEqual([[], []]);
	engine.close();
});

test("[P4] who comes back with a place in a log that is lost, to a lane that has yet to hear so, is not shown again what is still on its way from it", async () => {
	const w = world();
	const c = w.world.channel("c");
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	const { engine, subscribers } = held(w);
	const here = new Client();
	here.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	broker.faults.lose = 1;
	w.publish(c, 3);
	broker.faults.lose = 0;
	const onTheirWay = [...(broker.log(c)?.entries ?? [])];
	// Elsewhere all three were shown.
	const back = new Client();
	back.cursor = NO_LANES + encodeLane(laneTag(c), placeCode("fake/broker"), broker.endOf(c));
	broker.reset(c);
	back.connect([engine], w.clock, [c]);
	await w.clock.settle();
	for (const entry of onTheirWay) subscribers[0]?.entry(entry);
	await w.clock.advance(5_000);
	w.publish(c, 1);
	await w.clock.advance(10);
	expect([back.marks, back.numbers(c)]).toEqual([["epoch"], [4]]);
	expect([here.marks, here.numbers(c).at(-1)]).toEqual([["epoch"], 4]);
	engine.close();
});
