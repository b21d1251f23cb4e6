import { expect, test } from "vitest";
import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import { encodeLane, laneTag, MAX_LANES, NO_LANES } from "../../../lambda/layer/src/core/cursor.ts";
import { BEGINNING } from "../../../lambda/layer/src/core/position.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { held, world } from "./history-world.ts";
import { Client } from "./world.ts";

test("[P3] a stream on two transports resumes both of its lanes: the same channel has one tag, but two places", async () => {
	const { world: w, publish, client } = world(["a", "b"]);
	const c = w.channel("c");
	const first = await client([c]);
	publish(c, 2);
	await w.clock.advance(10);
	first.kill();
	publish(c, 2, ["a"]);
	publish(c, 2, ["b"]);
	const again = await client([c], first.cursor);
	expect(again.marks).toEqual([]);
	expect(again.numbers(c).sort()).toEqual([3, 4, 5, 6]);
});

test("[P3] a session's GET, a user's own and two for everyone, follows four transports and resumes on each", async () => {
	const transports = ["a", "b", "c", "d"];
	const { world: w, publish, client } = world(transports);
	const channels = transports.map((name) => w.channel(`of ${name}`));
	const first = await client(channels);
	first.kill();
	for (const channel of channels) for (const name of transports) publish(channel, 1, [name]);
	const again = await client(channels, first.cursor);
	expect(again.marks).toEqual([]);
	for (const channel of channels) expect(again.numbers(channel).sort()).toEqual([1, 2, 3, 4]);
});

test("[P3] a channel too many is refused, and the stream goes on with those it has", async () => {
	const { world: w, publish, client } = world();
	const channels = Array.from({ length: MAX_LANES }, (_value, n) => w.channel(`c${n}`));
	const one = await client(channels);
	await expect(one.feed.add(w.channel("one more"))).rejects.toMatchObject({ code: "TooManyChannels" });
	publish(channels[0] as Channel, 1);
	await w.clock.advance(10);
	expect(one.numbers(channels[0] as Channel)).toEqual([1]);
});

test("[P3] what a lane that opened late has missed is told when it joins, not only before", async () => {
	const { world: w, brokers, publish, client } = world();
	const [a, b] = [w.channel("a"), w.channel("b")];
	const one = await client([a]);
	(brokers[0] as (typeof brokers)[number]).faults.endsFails = 1;
	const adding = one.feed.add(b);
	await w.clock.advance(6_000);
	await adding;
	publish(b, 1);
	(brokers[0] as (typeof brokers)[number]).faults.endsFails = 0;
	await w.clock.advance(10_000);
	publish(b, 1);
	await w.clock.advance(10);
	expect(one.seen).toEqual([{ mark: "gap" }, { channel: b.key, n: 2, early: false }]);
});

test("[P5] the cursor says nothing of a lane that has not opened: a resume reads no history that the stream never had", async () => {
	const { world: w, brokers, publish, client } = world(["fake"], false);
	const [a, b] = [w.channel("a"), w.channel("b")];
	publish(b, 3);
	const one = await client([a]);
	(brokers[0] as (typeof brokers)[number]).faults.endsFails = 1;
	const adding = one.feed.add(b);
	publish(a, 1);
	await w.clock.advance(10);
	one.kill();
	await w.clock.advance(6_000);
	await adding;
	(brokers[0] as (typeof brokers)[number]).faults.endsFails = 0;
	await w.clock.advance(6_000);
	const again = await client([a, b], one.cursor);
	expect(again.numbers(b)).toEqual([]);
	expect(again.marks).toEqual(["gap"]);
});

test("[P3] a lane that the transport ended ends streams that still replay, and a stream that comes back subscribes anew", async () => {
	const w = world();
	const c = w.world.channel("c");
	const { engine, subscribers } = held(w);
	const first = new Client();
	first.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	first.kill();
	w.publish(c, 50);
	const slow = new Client();
	slow.cursor = first.cursor;
	slow.room = () => new Promise(() => {});
	slow.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	subscribers[0]?.ended("moved");
	expect(slow.ends).toEqual(["moved"]);
	const back = new Client();
	back.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	expect(subscribers).toHaveLength(2);
	engine.close();
});

test("[P3] [P4] a publish from inside a mark comes after the mark on every stream", async () => {
	const w = world();
	const c = w.world.channel("c");
	const { engine, subscribers } = held(w);
	const [one, two] = [new Client(), new Client()];
	for (const client of [one, two]) client.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	w.publish(c, 3);
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	broker.log(c)?.entries.pop();
	const push = one.seen.push.bind(one.seen);
	one.seen.push = (...facts) => {
		if (facts.some((fact) => "mark" in fact)) w.publish(c, 1);
		return push(...facts);
	};
	subscribers[0]?.suspect(broker.endOf(c));
	await w.clock.advance(10);
	for (const client of [one, two]) {
		expect(client.numbers(c)).toEqual([1, 2, 3, 4]);
		expect(client.marks).toEqual(["epoch"]);
	}
	expect(two.seen.at(-1)).toMatchObject({ n: 4 });
	engine.close();
});

test("[P3] [P4] an end that a transport asked for before the lane's last entries came is no loss", async () => {
	const w = world();
	const c = w.world.channel("c");
	const { engine, subscribers } = held(w);
	const client = new Client();
	client.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	for (const end of [BEGINNING, () => broker.endOf(c)]) {
		const old = typeof end === "function" ? end() : end;
		w.publish(c, 1);
		await w.clock.advance(10);
		subscribers[0]?.suspect(old);
		await w.clock.advance(10);
	}
	expect(client.marks).toEqual([]);
	expect(client.numbers(c)).toEqual([1, 2]);
	engine.close();
});

test("[P3] what a new log got while its emptiness was on the way is shown: to a lane that looks, and to a replay", async () => {
	const w = world();
	const c = w.world.channel("c");
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	let empty: (() => void) | undefined;
	const inner = createFakeTransport(broker);
	const { engine, subscribers } = held(w, {
		async *read(asks, signal) {
			for await (const page of inner.read(asks, signal)) {
				yield page;
				if (page.verdict !== "epoch" || page.entries.length > 0) continue;
				// Read when the new log was empty; what comes now is after the page and before its answer counts.
				empty?.();
				empty = undefined;
			}
		},
	});
	const live = new Client();
	live.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	w.publish(c, 3);
	await w.clock.advance(10);
	const late = new Client();
	late.cursor = live.cursor;
	for (const client of [live, late]) {
		broker.reset(c);
		empty = () => w.publish(c, 2);
		if (client === late) client.connect([engine], w.clock, [c]);
		subscribers[0]?.suspect();
		await w.clock.advance(5_000);
		expect(empty).toBe(undefined);
	}
	expect(live.marks[0]).toBe("epoch");
	expect(live.numbers(c)).toEqual([1, 2, 3, 4, 5, 6, 7]);
	expect(late.numbers(c).slice(-2)).toEqual([6, 7]);
	engine.close();
});

test("[P3] a stream behind an end without an entry joins there once the log says that nothing is between, and not before", async () => {
	const w = world();
	const c = w.world.channel("c");
	let reads = 0;
	let isQuiet = false;
	const epoch = w.brokers[0]?.endOf(c).epoch ?? "";
	const at = (offset: number) => ({ epoch, offset });
	const { engine, subscribers } = held(w, {
		subscribe: (_channel, subscriber) => {
			subscribers.push(subscriber);
			return { ready: Promise.resolve(at(9)), close() {} };
		},
		async *read(asks) {
			reads += 1;
			for (const { channel } of asks) {
				const page = { channel, entries: [], more: false, verdict: "whole", through: at(20) } as const;
				yield isQuiet ? { ...page, quiet: at(20) } : page;
			}
		},
		ends: async (channels) => channels.map(() => at(9)),
	});
	const client = new Client();
	client.cursor = NO_LANES + encodeLane(laneTag(c), engine.place, at(4));
	client.connect([engine], w.clock, [c]);
	await w.clock.advance(3_000);
	expect(reads).toBeGreaterThan(2);
	isQuiet = true;
	await w.clock.advance(1_000);
	const before = reads;
	const envelope = w.world.envelope(c, ["fake"]);
	subscribers[0]?.entry({ position: at(12), prev: at(9), envelope });
	expect([client.numbers(c), client.marks]).toEqual([[1], []]);
	await w.clock.advance(10_000);
	expect(reads).toBe(before);
	engine.close();
});

test("[P3] a cursor given before its stream has read what came since it was empty still says of when that was", async () => {
	const w = world(["fake"], false);
	const [broker] = w.brokers as [(typeof w.brokers)[number]];
	const { capabilities } = createFakeTransport(broker);
	const { engine } = held(w, { capabilities: { ...capabilities, retentionMs: 60_000 } });
	const c = w.world.channel("c");
	const one = new Client();
	const connect = async () => {
		one.connect([engine], w.clock, [c]);
		await w.clock.advance(100);
	};
	await connect();
	one.kill();
	w.publish(c, 10);
	await w.clock.advance(40_000);
	broker.faults.readFails = 1;
	await connect();
	one.kill();
	await w.clock.advance(40_000);
	// What was there is too old by now, and with it the log is gone.
	broker.faults.readFails = 0;
	broker.reset(c);
	w.publish(c, 1);
	await connect();
	await w.clock.advance(2_000);
	expect(one.marks).toEqual(["retention"]);
	expect(one.numbers(c)).toEqual([11]);
	engine.close();
});

test("[P5] who opens while its lane still reads the past of another log sees nothing from before its time", async () => {
	const w = world();
	const c = w.world.channel("c");
	const broker = w.brokers[0] as (typeof w.brokers)[number];
	const inner = createFakeTransport(broker);
	let turn = Promise.resolve();
	const { engine } = held(w, {
		async *read(asks, signal) {
			await turn;
			for await (const page of inner.read(asks, signal))
				yield { ...page, entries: page.entries.slice(0, 2), more: true };
		},
	});
	const first = new Client();
	first.connect([engine], w.clock, [c]);
	await w.clock.advance(10);
	w.publish(c, 2);
	broker.reset(c);
	broker.faults.lose = 1;
	w.publish(c, 6);
	const next = Promise.withResolvers<void>();
	const past = first.seen.push.bind(first.seen);
	first.seen.push = (...facts) => {
		turn = next.promise;
		return past(...facts);
	};
	broker.nudge(c);
	await w.clock.advance(10);
	expect(first.numbers(c)).toEqual([1, 2, 3, 4]);
	const second = new Client();
	second.connect([engine], w.clock, [c], w.clock.now() + 1);
	await w.clock.advance(10);
	next.resolve();
	await w.clock.advance(1_000);
	expect(first.numbers(c)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
	w.publish(c, 1);
	await w.clock.advance(1_000);
	expect(second.numbers(c)).toEqual([9]);
	engine.close();
});
