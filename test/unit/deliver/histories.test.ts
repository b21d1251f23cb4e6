/** Histories found by review, each of which broke a promise once. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import type { Channel } from "../../../lambda/layer/src/core/channel.ts";
import { BEGINNING } from "../../../lambda/layer/src/core/position.ts";
import type { Entry, Subscriber, Transport } from "../../../lambda/layer/src/core/transport.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { Recent } from "../../../lambda/layer/src/deliver/recent.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

function world(transports: readonly string[] = ["fake"], eager = true) {
	const made = new World(createRandom(7), { instances: 1, transports, eager });
	const engines = made.engines[0] ?? [];
	const publish = (channel: Channel, count: number, lanes = transports) => {
		for (let n = 0; n < count; n += 1) {
			const envelope = made.envelope(channel, lanes);
			for (const [index, broker] of made.brokers.entries()) {
				if (lanes.includes(transports[index] as string)) broker.append(envelope);
			}
		}
	};
	const client = async (channels: readonly Channel[], cursor?: string, sinceMs?: number) => {
		const one = new Client();
		one.cursor = cursor;
		one.connect(engines, made.clock, channels, sinceMs);
		await made.clock.advance(100);
		return one;
	};
	return { world: made, clock: made.clock, brokers: made.brokers, engines, publish, client };
}

/** An engine whose transport's subscribers the test holds. */
function held(w: ReturnType<typeof world>, over: Partial<Transport> = {}) {
	const subscribers: Subscriber[] = [];
	const inner = createFakeTransport(w.brokers[0] as (typeof w.brokers)[number]);
	const transport: Transport = {
		...inner,
		subscribe(channel, subscriber) {
			subscribers.push(subscriber);
			return inner.subscribe(channel, subscriber);
		},
		...over,
	};
	const limits = {
		lane: { recent: { count: 8, bytes: 1 << 20 }, missingMs: 5_000, retry: { baseMs: 50, capMs: 500 } },
	};
	const engine = createEngine(transport, { clock: w.clock, random: () => 0.5, report: () => {}, limits });
	return { engine, subscribers };
}

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

test("[P3] a channel too many is refused, and the stream goes on with those it has", async () => {
	const { world: w, publish, client } = world();
	const channels = Array.from({ length: 12 }, (_value, n) => w.channel(`c${n}`));
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
	subscribers[0]?.suspect(broker.bounds(c).end);
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
	for (const end of [BEGINNING, () => broker.bounds(c).end]) {
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
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as () => void;
	const { world: w } = world();
	const c = w.channel("c");
	const recent = new Recent(BEGINNING, { count: 256, bytes: 2_000 });
	const dropped: WeakRef<Entry>[] = [];
	for (let n = 1; n <= 100; n += 1) {
		const entry = { position: { epoch: "00000001", offset: BigInt(n) }, envelope: w.envelope(c, ["fake"]) };
		recent.push(entry);
		dropped.push(new WeakRef(entry));
	}
	await new Promise((resolve) => setImmediate(resolve));
	collect();
	expect(dropped.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(20);
	expect(recent.passed("none", recent.end)).toBe(false);
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

test("[P5] a `since` that is no number is refused: it would hold nothing back", () => {
	const { world: w, engines, clock } = world();
	expect(() => new Client().connect(engines, clock, [w.channel("c")], Number.NaN)).toThrow(
		expect.objectContaining({ code: "InvalidCursor" }),
	);
});
