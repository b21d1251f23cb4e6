/** How long an invocation goes on, by a clock that stands still. */
import { describe, expect, it } from "vitest";
import { isLeaseOver } from "../../../lambda/layer/src/core/lease.ts";
import { Invocation } from "../../../lambda/layer/src/lambda/invocation.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/index.ts";

describe("an invocation", () => {
	it("is over a margin before the function's time, and cut a quarter of the margin later", async () => {
		const clock = createFakeClock();
		const invocation = new Invocation(clock, 10_000, 2_000);
		await clock.advance(7_999);
		expect(invocation.signal.aborted).toBe(false);
		await clock.advance(1);
		expect([isLeaseOver(invocation.signal.reason), invocation.cut.aborted]).toEqual([true, false]);
		await clock.advance(500);
		expect([invocation.cut.aborted, invocation.wasCut]).toEqual([true, true]);
	});

	it("holds a stream for the longest lease, from when it is held, and never beyond the function's time", async () => {
		const clock = createFakeClock();
		const short = new Invocation(clock, 10_000, 2_000);
		const long = new Invocation(clock, 10_000, 2_000);
		await clock.advance(3_000);
		short.lease(1_000);
		long.lease(6_000);
		await clock.advance(1_000);
		expect([short.signal.aborted, long.signal.aborted]).toEqual([true, false]);
		await clock.advance(4_000);
		expect(long.signal.aborted).toBe(true);
		await clock.advance(500);
		// What is held is not expected to end by itself.
		expect([short.cut.aborted, short.wasCut, long.wasCut]).toEqual([true, false, false]);
	});

	it("tells a reader that left apart from a lease that is over", () => {
		const invocation = new Invocation(createFakeClock(), 10_000, 2_000);
		invocation.gone();
		expect([invocation.signal.aborted, isLeaseOver(invocation.signal.reason)]).toEqual([true, false]);
		expect([invocation.cut.aborted, invocation.wasCut]).toEqual([true, false]);
	});

	it("closes what was opened for it, last first, once", async () => {
		const invocation = new Invocation(createFakeClock(), 10_000, 2_000);
		const closed: number[] = [];
		for (const n of [1, 2]) invocation.onClose(async () => void closed.push(n));
		await invocation.close();
		await invocation.close();
		expect(closed).toEqual([2, 1]);
	});
});
