import { expect, test } from "vitest";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { inSlices } from "../../../../lambda/layer/src/transports/nats/slices.ts";

function start(count: number, tookMs: (item: number) => number, workers = 1) {
	const clock = createFakeClock();
	const stop = new AbortController();
	const began: [item: number, atMs: number][] = [];
	const zero = clock.monotonic();
	const state = { isOver: false };
	const task = (item: number) => {
		began.push([item, clock.monotonic() - zero]);
		return new Promise<void>((resolve) => void clock.after(tookMs(item), resolve));
	};
	const items = Array.from({ length: count }, (_, item) => item);
	const all = inSlices(items, { clock, sliceMs: 30, mostMs: 250, workers, stop: stop.signal }, task).then(() => {
		state.isOver = true;
	});
	return { clock, stop, began, state, all };
}

async function advance(clock: ReturnType<typeof createFakeClock>, ms: number): Promise<void> {
	for (let at = 0; at < ms; at += 10) await clock.advance(10);
}

test("each begins in its slice, or when the one before is over where that takes longer", async () => {
	const { clock, began, state } = start(4, (item) => (item === 1 ? 100 : 5));
	await advance(clock, 300);
	expect(began).toEqual([
		[0, 0],
		[1, 30],
		[2, 130],
		[3, 160],
	]);
	expect(state.isOver).toBe(true);
});

test("[P7] one that hangs holds up the next for a while and no more, and what is asked is waited for", async () => {
	const { clock, began, state } = start(3, (item) => (item === 0 ? 5_000 : 5));
	await advance(clock, 400);
	expect(began).toEqual([
		[0, 0],
		[1, 250],
		[2, 280],
	]);
	expect(state.isOver).toBe(false);
	await advance(clock, 4_700);
	expect(state.isOver).toBe(true);
});

test("[P9] a stop leaves no timer behind", async () => {
	const { clock, stop, began, all } = start(5, () => 0, 2);
	await clock.advance(1);
	stop.abort();
	await clock.advance(1);
	await all;
	expect([began.length, clock.waiting]).toEqual([5, 0]);
});
