import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { EarlyCopies, TakenEarly } from "../../../lambda/layer/src/deliver/early-copies.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { heapUsed } from "../../support/garbage.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

const seed = announcedSeed("early-copies");
const message = { jsonrpc: "2.0", method: "notifications/message" } as const;

function copyOf(id: string, topic = "c"): Envelope {
	return { v: 1, id, channel: createChannel("topic", topic), message, publishedAt: 0, origin: "test", lanes: [] };
}

test("[P6] early copies are forgotten by age, never for room", async () => {
	const clock = createFakeClock();
	const taken = new TakenEarly(new EarlyCopies(clock, () => 100, 2));
	const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => copyOf(id)) as [Envelope, Envelope, Envelope, Envelope];
	expect([taken.add(a), taken.add(b), taken.add(c)]).toEqual([true, true, false]);
	expect([taken.has(a), taken.has(c)]).toEqual([true, false]);
	await clock.advance(101);
	expect([taken.has(b), taken.delete(b), taken.add(c), taken.add(d)]).toEqual([false, false, true, true]);
});

test("[P6] the room of a copy comes back when all who took it have passed its home copy", () => {
	const copies = new EarlyCopies(createFakeClock(), undefined, 2);
	const [one, other] = [new TakenEarly(copies), new TakenEarly(copies)];
	const [a, b, c] = ["a", "b", "c"].map((id) => copyOf(id)) as [Envelope, Envelope, Envelope];
	expect([one.add(a), other.add(a), one.add(b), one.add(c)]).toEqual([true, true, true, false]);
	expect([one.delete(a), one.delete(a), one.add(c)]).toEqual([true, false, false]);
	expect([other.delete(a), one.add(c)]).toEqual([true, true]);
	expect([a, b, c].map((copy) => one.has(copy))).toEqual([false, true, true]);
});

test("[P4] whichever copies streams take, in whichever order, and whichever home copies pass: each stream has its own", () => {
	const op = fc.record({
		do: fc.constantFrom(...(["add", "add", "add", "add", "delete", "delete", "forget"] as const)),
		stream: fc.nat(2),
		copy: fc.nat(11),
	});
	fc.assert(
		fc.property(fc.array(op, { maxLength: 80, size: "max" }), (ops) => {
			let ageMs = 0;
			const copies = new EarlyCopies(createFakeClock(), () => ageMs);
			const all = Array.from({ length: 12 }, (_, n) => copyOf(String(n), n % 3 === 0 ? "c" : "d"));
			const streams = [0, 1, 2].map(() => ({ taken: new TakenEarly(copies), model: new Set<number>() }));
			for (const { do: what, stream, copy } of ops) {
				const { taken, model } = streams[stream] as (typeof streams)[number];
				const envelope = all[copy] as Envelope;
				if (what === "forget") {
					ageMs = -1;
					copies.find(envelope);
					ageMs = 0;
					for (const one of streams) one.model.clear();
				} else if (what === "delete") expect(taken.delete(envelope)).toBe(model.delete(copy));
				else if (!model.has(copy)) {
					expect(taken.add(envelope)).toBe(true);
					model.add(copy);
				}
				for (const one of streams)
					expect(all.map((each) => one.taken.has(each))).toEqual(all.map((_, n) => one.model.has(n)));
			}
		}),
		{ seed, numRuns: 300 },
	);
});

test("[P6] what an outage brings to every stream is kept once, not by each of them", () => {
	const copies = new EarlyCopies(createFakeClock());
	const streams = Array.from({ length: 1_000 }, () => new TakenEarly(copies));
	const before = heapUsed();
	for (let n = 0; n < 1_000; n += 1) {
		const envelope = copyOf(String(n));
		for (const taken of streams) taken.add(envelope);
	}
	const perStream = (heapUsed() - before) / streams.length;
	// As sets of ids it was 45 KB.
	expect(perStream).toBeLessThan(2_000);
	expect(streams.every((taken) => taken.has(copyOf("999")))).toBe(true);
});

test("[P6] nothing is kept of a channel whose early copies have all passed, while others wait for theirs", () => {
	const copies = new EarlyCopies(createFakeClock());
	const waiting = new TakenEarly(copies);
	waiting.add(copyOf("waits"));
	const before = heapUsed();
	for (let n = 0; n < 50_000; n += 1) {
		const taken = new TakenEarly(copies);
		const envelope = copyOf("passes", String(n));
		expect([taken.add(envelope), taken.delete(envelope)]).toEqual([true, true]);
	}
	expect((heapUsed() - before) / 50_000).toBeLessThan(20);
	expect(waiting.has(copyOf("waits"))).toBe(true);
});

test("[P4] [P6] a stream shows each envelope once, however many early copies an outage brings it", async () => {
	const world = new World(createRandom(1), { instances: 1, transports: ["a"] });
	const channel = world.channel("c");
	const client = new Client();
	const most = 1_000;
	const copies = new EarlyCopies(world.clock, undefined, most);
	client.connect(world.engines[0] ?? [], world.clock, [channel], undefined, copies);
	await world.clock.settle();
	const waiting = Array.from({ length: most + 50 }, () => world.envelope(channel, ["a"]));
	for (const envelope of waiting) client.feed.early(envelope);
	expect(client.numbers(channel)).toHaveLength(most);
	for (const envelope of waiting) world.brokers[0]?.append(envelope);
	await world.calm();
	expect(client.numbers(channel)).toEqual(waiting.map((_envelope, index) => index + 1));
	expect(client.marks).toEqual([]);
	world.close();
});

test("[P4] an early copy of what left the lane's window since it was published is not shown: it may have been", async () => {
	const world = new World(createRandom(1), { instances: 1, transports: ["a"] });
	const channel = world.channel("c");
	const client = new Client();
	client.connect(world.engines[0] ?? [], world.clock, [channel]);
	await world.clock.settle();
	// Its acknowledgement is lost, and by the publisher's deadline more has come than the window holds.
	const first = world.envelope(channel, ["a"]);
	const more = Array.from({ length: 20 }, () => world.envelope(channel, ["a"]));
	for (const envelope of [first, ...more]) {
		world.brokers[0]?.append(envelope);
		await world.clock.advance(100);
	}
	client.feed.early(first);
	expect(client.numbers(channel)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
	// What is published from now on is in a window that could tell.
	client.feed.early(world.envelope(channel, ["a"]));
	expect(client.numbers(channel)).toHaveLength(22);
	world.close();
});

test("[P3] [P4] one id on two channels is two envelopes: an early copy of one stands in for that one alone", async () => {
	const world = new World(createRandom(1), { instances: 1, transports: ["a"] });
	const [one, other] = [world.channel("c"), world.channel("d")];
	const client = new Client();
	client.connect(world.engines[0] ?? [], world.clock, [one, other]);
	await world.clock.settle();
	const first = world.envelope(one, ["a"]);
	const second = { ...world.envelope(other, ["a"]), id: first.id };
	client.feed.early(first);
	world.brokers[0]?.append(second);
	world.brokers[0]?.append(first);
	await world.calm();
	expect([client.numbers(one), client.numbers(other)]).toEqual([[1], [1]]);
	world.close();
});

test.each([
	["opened since", false],
	["cannot be opened", true],
])("[P4] an early copy is not shown to who comes from elsewhere with it, where the lane %s", async (_lane, isCut) => {
	const world = new World(createRandom(1), { instances: 2, transports: ["a"] });
	const channel = world.channel("c");
	const [broker] = world.brokers;
	const client = new Client();
	client.connect(world.engines[0] ?? [], world.clock, [channel]);
	await world.clock.settle();
	// The acknowledgement is lost: its publisher, the other instance, will show it early.
	const first = world.envelope(channel, ["a"]);
	broker?.append(first);
	await world.clock.advance(100);
	expect(client.numbers(channel)).toEqual([1]);
	client.kill();
	if (broker !== undefined) broker.faults.endsFails = isCut ? 1 : 0;
	client.connect(world.engines[1] ?? [], world.clock, [channel]);
	await world.clock.advance(10_000);
	client.feed.early(first);
	expect(client.numbers(channel)).toEqual([1]);
	// What is published from now on was shown nowhere else.
	client.feed.early(world.envelope(channel, ["a"]));
	expect(client.numbers(channel)).toEqual([1, 2]);
	world.close();
});
