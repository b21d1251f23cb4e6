/** Client streams whose transports come while they are open, and early copies beside what was replayed. */
import { expect, test } from "vitest";
import { decodeCursor } from "../../../lambda/layer/src/core/cursor.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { openFeed } from "../../../lambda/layer/src/deliver/feed.ts";
import type { ExchangedFeed } from "../../../lambda/layer/src/deliver/joined-later.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";
import { world } from "./history-world.ts";
import { type Seen, World } from "./world.ts";

/** A stream on the first of two transports, that records what it is shown. */
function streamOn(transports: readonly string[]) {
	const made = new World(createRandom(7), { instances: 1, transports });
	const [first, second] = made.engines[0] as [ReturnType<typeof createEngine>, ReturnType<typeof createEngine>];
	const channel = made.channel("c");
	const seen: Seen[] = [];
	const ends: string[] = [];
	const open = new Set<ExchangedFeed>();
	const deps = { engines: [first], clock: made.clock, report: () => {}, open };
	const feed = openFeed(
		deps,
		{ channels: [channel] },
		{
			deliver: ({ message }, cursor) =>
				seen.push({ channel: "c", n: (message as unknown as { params: { n: number } }).params.n, early: !cursor }),
			mark: (reason) => seen.push({ mark: reason }),
			cursor() {},
			end: (reason) => ends.push(reason),
		},
	);
	return { made, channel, seen, ends, open, feed, second };
}

test("[P3] [P4] a transport that comes later is followed after one gap; what the other had shown is not shown again, and what comes meanwhile is", async () => {
	const { made, channel, seen, open, second, feed } = streamOn(["a", "b"]);
	const [a, b] = made.brokers as [(typeof made.brokers)[number], (typeof made.brokers)[number]];
	await made.clock.advance(10);
	// Somebody else publishes to both already; the copy on b is late.
	const early = made.envelope(channel, ["b", "a"]);
	a.append(early);
	const following = [...open].map((one) => one.follow(second));
	const meanwhile = made.envelope(channel, ["b", "a"]);
	a.append(meanwhile);
	await made.clock.advance(10);
	await Promise.all(following);
	for (const envelope of [early, meanwhile]) b.append(envelope);
	const later = made.envelope(channel, ["b", "a"]);
	for (const broker of [a, b]) broker.append(later);
	await made.clock.advance(10);
	expect(seen).toEqual([
		{ channel: "c", n: 1, early: false },
		{ channel: "c", n: 2, early: false },
		{ mark: "gap" },
		{ channel: "c", n: 3, early: false },
	]);
	feed.close();
	expect(open.size).toBe(0);
	made.close();
});

test("[P6] a stream that follows as many lanes as it may ends with gap when one more would come", async () => {
	const { made, ends, open, second, feed } = streamOn(["a", "b"]);
	for (let n = 0; n < 10; n += 1) await Promise.all([feed.add(made.channel(`c${n}`)), made.clock.advance(1)]);
	const [one] = open;
	await one?.follow(second);
	expect(ends).toEqual(["gap"]);
	made.close();
});

test("[P4] an early copy of what a resumed stream has replayed is not shown", async () => {
	const w = world();
	const channel = w.world.channel("c");
	const other = await w.client([channel]);
	other.kill();
	w.publish(channel, 1);
	// Taken by the log, and its publisher does not know: it sends an early copy when its time is over.
	const uncertain = w.world.envelope(channel, ["fake"]);
	w.brokers[0]?.append(uncertain);
	await w.clock.advance(20_000);
	// As another process has it: its lane is opened after both.
	const engine = createEngine(createFakeTransport(w.brokers[0] as never), {
		...{ clock: w.clock, random: () => 0.5, report: () => {} },
	});
	const publishedAt = w.clock.now();
	other.connect([engine], w.clock, [channel]);
	await w.clock.advance(100);
	expect(other.numbers(channel)).toEqual([1, 2]);
	other.feed.early({ ...uncertain, publishedAt });
	await w.clock.advance(100);
	expect(other.numbers(channel)).toEqual([1, 2]);
	// What is published from now on has its early copies.
	await w.clock.advance(1);
	other.feed.early(w.world.envelope(channel, ["fake"]));
	expect(other.numbers(channel)).toEqual([1, 2, 3]);
	engine.close();
});

/** Two transports whose lanes open when they are let. */
function gated() {
	const made = new World(createRandom(9), { instances: 1, transports: ["a", "b"] });
	const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
	const engines = made.brokers.map((broker, index) => {
		const fake = createFakeTransport(broker, { name: ["a", "b"][index] as string });
		const subscribe: typeof fake.subscribe = (...args) => {
			const subscription = fake.subscribe(...args);
			return { ...subscription, ready: subscription.ready.then((end) => gates[index]?.promise.then(() => end) ?? end) };
		};
		return createEngine({ ...fake, subscribe }, { clock: made.clock, random: () => 0.5, report: () => {} });
	}) as [ReturnType<typeof createEngine>, ReturnType<typeof createEngine>];
	const cursors: string[] = [];
	const shown: number[] = [];
	const marks: string[] = [];
	const open = new Set<ExchangedFeed>();
	const channel = made.channel("c");
	const connect = (cursor: string | undefined) =>
		openFeed(
			{ engines: [engines[0]], clock: made.clock, report: () => {}, open },
			{ channels: [channel], cursor },
			{
				deliver: ({ message }) => shown.push((message as unknown as { params: { n: number } }).params.n),
				mark: (reason, cursor) => {
					marks.push(reason);
					cursors.push(cursor);
				},
				cursor: (cursor) => cursors.push(cursor),
				end() {},
			},
		);
	const follow = () => Promise.all([...open].map((one) => one.follow(engines[1])));
	const lanes = () => cursors.map((cursor) => decodeCursor(cursor).size);
	return { made, gates, cursors, shown, marks, channel, connect, follow, lanes };
}

test("[P3] a transport that comes while a stream still opens, and opens after it, is in no cursor before it has a place", async () => {
	const { made, gates, shown, marks, channel, connect, follow, lanes } = gated();
	const feed = connect(undefined);
	const following = follow();
	gates[0].resolve();
	await made.clock.advance(10);
	expect(lanes()).toEqual([1]);
	made.brokers[1]?.append(made.envelope(channel, ["b"]));
	gates[1].resolve();
	await made.clock.advance(10);
	await following;
	expect([lanes().at(-1), marks, shown]).toEqual([2, ["gap"], []]);
	feed.close();
	made.close();
});

test("[P3] a transport that comes while a stream still opens, and opens before it, takes no place of the stream's from its cursor", async () => {
	const { made, gates, marks, connect, follow, lanes } = gated();
	const feed = connect(undefined);
	const following = follow();
	gates[1].resolve();
	await made.clock.advance(10);
	expect(lanes()).toEqual([]);
	gates[0].resolve();
	await made.clock.advance(10);
	await following;
	expect([lanes()[0], lanes().at(-1), marks]).toEqual([1, 2, ["gap"]]);
	feed.close();
	made.close();
});
