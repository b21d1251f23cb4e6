import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameQueue, invalidationKey, type QueuedFrame } from "../../../lambda/layer/src/stream/queue.ts";
import { progress, updated } from "./support.ts";

const frame = (text: string, cursor?: string): QueuedFrame => ({ text, cursor, isMessage: true });

function drainAll(queue: FrameQueue): string[] {
	const texts: string[] = [];
	queue.drain(({ text }) => {
		texts.push(text);
		return true;
	});
	return texts;
}

test("invalidations are list_changed by method and updates by URI", () => {
	const changed = (method: string) => invalidationKey({ jsonrpc: "2.0", method });
	expect(changed("notifications/tools/list_changed")).toBe("notifications/tools/list_changed");
	expect(changed("notifications/tools/list_changed/x")).toBeUndefined();
	expect(invalidationKey(updated("docs://a").message)).not.toBe(invalidationKey(updated("docs://b").message));
	expect(invalidationKey(progress(1).message)).toBeUndefined();
	expect(invalidationKey({ jsonrpc: "2.0", id: 1, method: "notifications/tools/list_changed" })).toBeUndefined();
	expect(invalidationKey({ jsonrpc: "2.0", id: 1, result: {} })).toBeUndefined();
});

test("bounds hold in frames and in bytes, and one frame always fits", () => {
	const byCount = new FrameQueue(2, 1e6);
	expect([byCount.push(frame("a")), byCount.push(frame("b")), byCount.push(frame("c"))]).toEqual([true, true, false]);
	expect(drainAll(byCount)).toEqual(["a", "b"]);
	expect(byCount.bytes).toBe(0);

	const byBytes = new FrameQueue(100, 1000);
	expect(byBytes.push(frame("x".repeat(5000)))).toBe(true);
	expect(byBytes.push(frame("y"))).toBe(false);
});

test("draining stops where the taker says so and goes on there", () => {
	const queue = new FrameQueue(10, 1e6);
	for (const text of ["a", "b", "c"]) queue.push(frame(text));
	const taken: string[] = [];
	queue.drain(({ text }) => {
		taken.push(text);
		return text !== "b";
	});
	expect(taken).toEqual(["a", "b"]);
	expect(drainAll(queue)).toEqual(["c"]);
});

test("coalescing keeps the last of each key at its own place, loses nothing else, and never passes a cursor", () => {
	const step = fc.record({ key: fc.option(fc.constantFrom("tools", "uri a", "uri b"), { nil: undefined }) });
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 5 }), (steps, drainEvery) => {
			const queue = new FrameQueue(1000, 1e9);
			const shown: { n: number; key: string | undefined }[] = [];
			const inQueue: { n: number; key: string | undefined }[] = [];
			const expected: number[] = [];
			const drain = () => {
				queue.drain(({ text }) => {
					shown.push(JSON.parse(text) as { n: number; key: string | undefined });
					return true;
				});
				for (const { n, key } of inQueue.splice(0)) {
					const isLast = key === undefined || !steps.slice(n + 1, lastPushed + 1).some((later) => later.key === key);
					if (isLast) expected.push(n);
				}
			};
			let lastPushed = -1;
			steps.forEach(({ key }, n) => {
				expect(queue.push(frame(JSON.stringify({ n, key }), `c${n}`), key)).toBe(true);
				inQueue.push({ n, key });
				lastPushed = n;
				if (drainEvery > 0 && n % drainEvery === 0) drain();
			});
			drain();
			expect(shown.map(({ n }) => n)).toEqual(expected);
			// In order: the cursor that goes with each frame is never older than one shown before it.
			expect(shown.map(({ n }) => n)).toEqual(shown.map(({ n }) => n).toSorted((a, b) => a - b));
			expect(queue.bytes).toBe(0);
		}),
		{ seed: 11, numRuns: 500 },
	);
});

test("a million invalidations take one place", () => {
	const queue = new FrameQueue(4, 1e4);
	for (let n = 0; n < 1_000_000; n += 1) queue.push(frame(`${n}`), "tools");
	expect(queue.size).toBe(1);
	expect(drainAll(queue)).toEqual(["999999"]);
});
