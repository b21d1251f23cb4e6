import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeEnvelope, encodeEnvelope } from "../../../lambda/layer/src/core/envelope.ts";
import type { StreamLimits, StreamOptions } from "../../../lambda/layer/src/stream/port.ts";
import {
	envelopeOf,
	NEWS,
	numbersIn,
	OTHER,
	openRecorded,
	progress,
	scriptFeeds,
	testHub,
	turn,
	updated,
} from "./support.ts";

function opened(options: Partial<StreamOptions> = {}, limits: Partial<StreamLimits> = {}) {
	const bench = testHub(limits);
	const { stream, wire } = openRecorded(bench.hub, { channels: [NEWS], ...options });
	const [feed] = bench.feeds;
	if (feed === undefined) throw new Error("no feed was opened");
	return { ...bench, stream, wire, feed, sink: feed.sink };
}

test("the cursor frame is the first thing written", () => {
	const { wire } = opened();
	expect(wire.writes).toEqual(["event: cursor\nid: c0\ndata: \n\n"]);
});

test("no cursor frames where they are switched off, marks still", async () => {
	const { wire, sink } = opened({ cursorFrames: false });
	sink.mark("gap", "c1");
	sink.cursor("c2");
	await turn();
	expect(wire.text).toBe('event: mark\nid: c1\ndata: {"reason":"gap"}\n\n');
});

test("what one turn brings is one write, in order", async () => {
	const { wire, sink } = opened();
	for (let n = 1; n <= 5; n += 1) sink.deliver(progress(n), `c${n}`);
	sink.mark("epoch", "c6");
	sink.deliver(progress(7), "c7");
	expect(wire.writes).toHaveLength(1);
	await turn();
	expect(wire.writes).toHaveLength(2);
	expect([...wire.text.matchAll(/id: (c\d)/g)].map(([, id]) => id)).toEqual([
		"c0",
		"c1",
		"c2",
		"c3",
		"c4",
		"c5",
		"c6",
		"c7",
	]);
});

test("a turn that brings more than its bound is written early", () => {
	const { wire, sink } = opened({}, { maxTurnBytes: 1000 });
	for (let n = 0; n < 100; n += 1) sink.deliver(progress(n), `c${n}`);
	expect(wire.writes.length).toBeGreaterThan(5);
	expect(Math.max(...wire.writes.map((text) => text.length))).toBeLessThan(1200);
});

test("filtered-out envelopes make no frame; the next frame carries the newer cursor", async () => {
	const { wire, sink } = opened({ filter: { methods: ["notifications/progress"] } });
	sink.deliver(updated("docs://a"), "c1");
	await turn();
	expect(wire.writes).toHaveLength(1);
	sink.deliver(progress(2), "c2");
	await turn();
	expect(wire.text).not.toContain("c1");
	expect(wire.text).toContain("id: c2");
});

test("filter and channels change while open", async () => {
	const { hub, wire, sink, feed, stream } = opened({ filter: { methods: [] } });
	sink.deliver(progress(1), "c1");
	await stream.update({ filter: {}, add: [OTHER], remove: [NEWS] });
	sink.deliver(progress(2), "c2");
	await turn();
	expect(numbersIn(wire.text)).toEqual([2]);
	expect([feed.added, feed.removed]).toEqual([[OTHER], [NEWS]]);
	await expect(stream.update({ filter: { methods: [""] } })).rejects.toMatchObject({ code: "InvalidFilter" });
	stream.close();
	await expect(stream.update({ add: [NEWS] })).rejects.toMatchObject({ code: "Closed" });
	expect(hub.size).toBe(0);
});

test("a pushed-back stream queues, and goes on in order when the wire takes again", async () => {
	const { wire, sink, stream } = opened();
	wire.isBlocked = true;
	for (let n = 1; n <= 10; n += 1) {
		sink.deliver(progress(n), `c${n}`);
		await turn();
	}
	expect(numbersIn(wire.text)).toEqual([1]);
	wire.isBlocked = false;
	stream.drained();
	sink.deliver(progress(11), "c11");
	await turn();
	expect(numbersIn(wire.text)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

test("a replay waits for room while the wire pushes back, and no longer than the stream lives", async () => {
	const { wire, sink, stream } = opened();
	expect(sink.room?.()).toBeUndefined();
	wire.isBlocked = true;
	sink.deliver(progress(1), "c1");
	await turn();
	let rooms = 0;
	sink.room?.()?.then(() => {
		rooms += 1;
	});
	await turn();
	expect(rooms).toBe(0);
	wire.isBlocked = false;
	stream.drained();
	await turn();
	expect(rooms).toBe(1);

	wire.isBlocked = true;
	sink.deliver(progress(2), "c2");
	await turn();
	const room = sink.room?.();
	stream.close();
	await room;
	expect(sink.room?.()).toBeUndefined();
});

test.each([
	["frames", { maxQueuedFrames: 10 }],
	["bytes", { maxQueuedBytes: 2000 }],
])("a reader that never reads is ended with slow-consumer: bound in %s", async (_name, limits) => {
	const { hub, clock, wire, sink, stream, feed } = opened({}, limits);
	wire.isBlocked = true;
	for (let n = 0; n < 100; n += 1) {
		sink.deliver(progress(n), `c${n}`);
		await turn();
	}
	expect(wire.finished).toBe("slow-consumer");
	expect(wire.text).toMatch(/event: end\ndata: \{"reason":"slow-consumer"\}\n\n$/);
	expect(numbersIn(wire.text)).toEqual([0]);
	expect(feed.closes).toBe(1);
	await clock.advance(5_000);
	expect(wire.isDestroyed).toBe(true);
	expect(await stream.closed).toBe("slow-consumer");
	expect([hub.size, clock.waiting]).toEqual([0, 0]);
});

test("while it coalesces, a pushed-back stream keeps the last of what says the same", async () => {
	const { wire, sink, stream } = opened({ coalesce: true }, { maxQueuedFrames: 10 });
	wire.isBlocked = true;
	sink.deliver(progress(0), "c0");
	await turn();
	for (let n = 1; n <= 1000; n += 1) sink.deliver(updated("docs://a", n), `c${n}`);
	sink.deliver(progress(1001), "c1001");
	sink.deliver(updated("docs://a", 1002), "c1002");
	wire.isBlocked = false;
	stream.drained();
	expect(numbersIn(wire.text)).toEqual([0, 1001, 1002]);
});

test("a coalescing stream whose reader reads takes more in one turn than its queue holds", async () => {
	const { wire, sink } = opened({ coalesce: true }, { maxQueuedFrames: 10 });
	for (let n = 0; n < 100; n += 1) sink.deliver(progress(n), `c${n}`);
	await turn();
	expect(numbersIn(wire.text)).toEqual(Array.from({ length: 100 }, (_, n) => n));
	expect(wire.finished).toBeUndefined();
});

test("whatever the wire does, frames arrive in order, each once, until the end", async () => {
	const steps = fc.array(fc.constantFrom("deliver", "deliver", "block", "unblock", "turn"), { maxLength: 80 });
	await fc.assert(
		fc.asyncProperty(steps, fc.boolean(), async (script, coalesce) => {
			const { wire, sink, stream } = opened({ coalesce });
			let n = 0;
			for (const step of script) {
				if (step === "deliver") sink.deliver(progress(n++), `c${n}`);
				if (step === "block") wire.isBlocked = true;
				if (step === "unblock") {
					wire.isBlocked = false;
					stream.drained();
				}
				if (step === "turn") await turn();
			}
			wire.isBlocked = false;
			stream.drained();
			await turn();
			expect(numbersIn(wire.text)).toEqual(Array.from({ length: n }, (_, index) => index));
		}),
		{ seed: 17, numRuns: 200 },
	);
});

test("an engine's end is shown after what came before it, and nothing after it", async () => {
	const { wire, sink, stream, feed } = opened();
	const { closed } = stream;
	sink.deliver(progress(1), "c1");
	sink.end("moved");
	sink.deliver(progress(2), "c2");
	sink.mark("gap", "c3");
	sink.end("expired");
	await turn();
	expect(wire.text).toMatch(/"n":1.*event: end\ndata: \{"reason":"moved"\}\n\n$/s);
	expect(await closed).toBe("moved");
	expect(feed.closes).toBe(1);
});

test("a client that goes away closes the feed", async () => {
	const { hub, clock, stream, feed } = opened();
	stream.gone();
	stream.gone();
	expect(await stream.closed).toBe("closed");
	expect([feed.closes, hub.size, clock.waiting]).toEqual([1, 0, 0]);
});

test("a feed that cannot open ends the stream and tells the caller", async () => {
	const failure = new Error("no lane");
	const { hub } = testHub({}, scriptFeeds({ opened: () => Promise.reject(failure) }));
	const { stream, wire } = openRecorded(hub, { channels: [NEWS] });
	await expect(stream.opened).rejects.toBe(failure);
	expect(await stream.closed).toBe("gap");
	expect(wire.text).toContain('data: {"reason":"gap"}');
});

test("[P3] a message that cannot be JSON is told as a gap, once, and the stream goes on behind it", async () => {
	const { sink, stream, wire } = opened();
	const params: Record<string, unknown> = {};
	params.self = params;
	expect(sink.deliver(envelopeOf({ jsonrpc: "2.0", method: "notifications/x", params }), "c1")).toBe("gap");
	// A parser takes any depth; what writes has a stack.
	const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
	const text = encodeEnvelope(progress(2)).replace('"text":""', `"text":${deep}`);
	sink.deliver(decodeEnvelope(text), "c2");
	sink.deliver(progress(3), "c3");
	stream.close();
	expect(await stream.closed).toBe("closed");
	expect([...wire.text.matchAll(/id: (c\d)/g)].map(([, id]) => id)).toEqual(["c0", "c1", "c2", "c3"]);
	expect(wire.text.match(/event: mark/g)).toHaveLength(2);
	expect(numbersIn(wire.text)).toEqual([3]);
});
