import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createHub } from "../../../lambda/layer/src/stream/hub.ts";
import { NEWS, numbersIn, OTHER, openRecorded, progress, scriptFeeds, testHub, turn } from "./support.ts";

type Bench = ReturnType<typeof testHub>;

function open({ hub }: Bench, channels = [NEWS]) {
	return openRecorded(hub, { channels });
}

test("one stream over the cap is refused before any work", () => {
	const asked: unknown[] = [];
	const bench = testHub({ maxStreams: 2 }, scriptFeeds({ onOpen: (request) => void asked.push(request) }));
	const { stream } = open(bench);
	open(bench);
	expect(() => open(bench)).toThrow(
		expect.objectContaining({ code: "TooManyStreams", retryable: true, data: { maxStreams: 2 } }),
	);
	expect(asked).toHaveLength(2);
	stream.close();
	open(bench);
	expect(bench.hub.size).toBe(2);
});

test("a feed that refuses leaves nothing behind", () => {
	const refusal = new FanoutError("TooManyChannels", "13 lanes");
	const bench = testHub(
		{},
		scriptFeeds({
			onOpen: () => {
				throw refusal;
			},
		}),
	);
	expect(() => open(bench, [createChannel("session", "s")])).toThrow(refusal);
	expect(() => openRecorded(bench.hub, { channels: [NEWS], filter: { methods: [""] } })).toThrow("methods");
	expect([bench.hub.size, bench.hub.sessions, bench.clock.waiting]).toEqual([0, 0, 0]);
});

test("cursor, since and channels reach the feed; an empty cursor is none", () => {
	const bench = testHub();
	openRecorded(bench.hub, { channels: [NEWS], lastEventId: "1x", sinceMs: 5 });
	openRecorded(bench.hub, { channels: [OTHER], lastEventId: "" });
	expect(bench.feeds.map(({ request }) => request)).toEqual([
		{ channels: [NEWS], cursor: "1x", sinceMs: 5 },
		{ channels: [OTHER] },
	]);
});

test("counts distinct sessions through opens, updates and closes", async () => {
	const bench = testHub();
	const [a, b] = [createChannel("session", "a"), createChannel("session", "b")];
	const first = open(bench, [a, NEWS]);
	open(bench, [a]);
	expect(bench.hub.sessions).toBe(1);
	await first.stream.update({ add: [b], remove: [a] });
	expect(bench.hub.sessions).toBe(2);
	first.stream.close();
	expect(bench.hub.sessions).toBe(1);
});

test("a session that a stream follows already is not left when it is added again", async () => {
	const left: string[] = [];
	const hub = createHub({ openFeed: scriptFeeds().openFeed, left: ({ id }) => left.push(id) });
	const session = createChannel("session", "a");
	const { stream } = openRecorded(hub, { channels: [session] });
	await stream.update({ add: [session] });
	expect([left, hub.sessions]).toEqual([[], 1]);
	stream.close();
	expect([left, hub.sessions]).toEqual([["a"], 0]);
});

test("every stream's heart beats once in 15 s, from one timer; a stalled one's does not", async () => {
	const bench = testHub();
	const streams = Array.from({ length: 40 }, () => open(bench));
	const stalled = streams[0];
	if (stalled === undefined) throw new Error("no stream");
	stalled.wire.isBlocked = true;
	bench.feeds[0]?.sink.deliver(progress(1), "c1");
	await turn();
	expect(bench.clock.waiting).toBe(1);
	await bench.clock.advance(15_000);
	const beats = streams.map(({ wire }) => wire.text.split(": hb\n\n").length - 1);
	expect(beats).toEqual([0, ...Array.from({ length: 39 }, () => 1)]);
	await bench.clock.advance(60_000);
	expect(stalled.wire.finished).toBe("slow-consumer");
});

test("hearts beat a few at a time: a turn that wrote to all would hold up what is published meanwhile", async () => {
	const bench = testHub();
	const streams = Array.from({ length: 300 }, () => open(bench));
	const beats = () => streams.reduce((sum, { wire }) => sum + wire.text.split(": hb\n\n").length - 1, 0);
	for (let tenth = 1; tenth <= 20; tenth += 1) {
		await bench.clock.advance(100);
		expect(beats()).toBe(2 * tenth);
	}
});

test("what is published while many hearts beat leaves before the last of them", async () => {
	const bench = testHub();
	let beats = 0;
	const streams = Array.from({ length: 150 * 30 }, () => open(bench));
	for (const { wire } of streams) {
		wire.beat = () => {
			beats += 1;
		};
	}
	const published = bench.clock.advance(100);
	while (beats === 0) await turn();
	expect(beats).toBeLessThan(30);
	bench.feeds[0]?.sink.deliver(progress(1), "c1");
	while (numbersIn(streams[0]?.wire.text ?? "").length === 0) await turn();
	expect(beats).toBeLessThan(30);
	await published;
	while (beats < 30) await turn();
});

test("the first frame of a turn leaves at once, those after it leave together at its end", async () => {
	const bench = testHub();
	const [one, other] = [open(bench), open(bench)];
	await turn();
	const [sink, otherSink] = bench.feeds.map((feed) => feed.sink);
	for (const n of [1, 2, 3]) sink?.deliver(progress(n), `c${n}`);
	otherSink?.deliver(progress(4), "c4");
	const numbers = () => [one, other].map(({ wire }) => wire.writes.slice(1).map(numbersIn));
	expect(numbers()).toEqual([[[1]], []]);
	await turn();
	expect(numbers()).toEqual([[[1], [2, 3]], [[4]]]);
});

test("a wire that throws loses its stream and starves nobody", async () => {
	const bench = testHub();
	const broken = open(bench);
	const healthy = open(bench);
	broken.wire.flush = () => {
		throw new Error("broken");
	};
	for (const { sink } of bench.feeds) sink.deliver(progress(1), "c1");
	await turn();
	expect(healthy.wire.text).toContain('"n":1');
	expect(await broken.stream.closed).toBe("closed");
	expect([broken.wire.isDestroyed, bench.hub.size]).toEqual([true, 1]);
});

test("early copies are offered to the streams that follow the channel", () => {
	const bench = testHub();
	open(bench, [NEWS]);
	open(bench, [OTHER]);
	const envelope = progress(1);
	bench.hub.early(envelope);
	expect(bench.feeds.map(({ early }) => early)).toEqual([[envelope], []]);
});

test("drain fails readiness first, refuses new streams, and lets go at a jittered pace within its grace", async () => {
	const bench = testHub();
	const streams = Array.from({ length: 100 }, () => open(bench));
	const drained = bench.hub.drain({ graceMs: 10_000 });
	expect([bench.hub.isReady, bench.hub.size]).toEqual([false, 100]);
	expect(() => open(bench)).toThrow(expect.objectContaining({ code: "Closed", retryable: true }));
	const sizes: number[] = [];
	for (let step = 0; step < 8; step += 1) {
		await bench.clock.advance(1_000);
		sizes.push(bench.hub.size);
	}
	await drained;
	expect(sizes.at(-1)).toBe(0);
	for (const [step, size] of sizes.entries()) expect(Math.abs(size - (100 - (step + 1) * 12.5))).toBeLessThan(3);
	expect(new Set(streams.map(({ wire }) => wire.finished))).toEqual(new Set(["moved"]));
	expect(bench.clock.waiting).toBe(0);
});

test("at the end of a drain's grace those that take nothing are destroyed", async () => {
	const bench = testHub();
	const { wire, stream } = open(bench);
	wire.isBlocked = true;
	bench.feeds[0]?.sink.deliver(progress(1), "c1");
	await turn();
	const drained = bench.hub.drain({ graceMs: 1_000 });
	await bench.clock.advance(1_000);
	await drained;
	expect(wire.isDestroyed).toBe(true);
	expect(await stream.closed).toBe("moved");
	expect(bench.clock.waiting).toBe(0);
});

test("close ends all with shutdown, once, and leaves no timer", async () => {
	const bench = testHub();
	const streams = [open(bench), open(bench)];
	await Promise.all([bench.hub.close(), bench.hub.close()]);
	expect(streams.map(({ wire }) => wire.finished)).toEqual(["shutdown", "shutdown"]);
	expect(bench.feeds.map(({ closes }) => closes)).toEqual([1, 1]);
	expect([bench.hub.size, bench.clock.waiting]).toEqual([0, 0]);
	expect(() => open(bench)).toThrow("has closed");
});
