import { expect, test } from "vitest";
import { DEFAULT_EARLY_IDS, EarlyIds } from "../../../lambda/layer/src/deliver/early-ids.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

test("[P6] ids are forgotten by age, never for room", async () => {
	const clock = createFakeClock();
	const ids = new EarlyIds(clock, { count: 2, ageMs: 100 });
	expect([ids.add("a"), ids.add("b"), ids.add("c")]).toEqual([true, true, false]);
	expect([ids.has("a"), ids.has("c")]).toEqual([true, false]);
	expect([ids.delete("a"), ids.delete("a"), ids.add("c")]).toEqual([true, false, true]);
	await clock.advance(101);
	expect([ids.add("d"), ids.has("b"), ids.has("c")]).toEqual([true, false, false]);
});

test("[P4] [P6] a stream shows each envelope once, however many early copies an outage brings it", async () => {
	const world = new World(createRandom(1), { instances: 1, transports: ["a"] });
	const channel = world.channel("c");
	const client = new Client();
	client.connect(world.engines[0] ?? [], world.clock, [channel]);
	await world.clock.settle();
	const count = DEFAULT_EARLY_IDS.count + 50;
	const waiting = Array.from({ length: count }, () => world.envelope(channel, ["a"]));
	for (const envelope of waiting) client.feed.early(envelope);
	expect(client.numbers(channel)).toHaveLength(DEFAULT_EARLY_IDS.count);
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
