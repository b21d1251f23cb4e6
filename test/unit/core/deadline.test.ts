import { describe, expect, test } from "vitest";
import { pause, systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { withDeadline } from "../../../lambda/layer/src/core/deadline.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const forever = () => new Promise<never>(() => {});

describe("a deadline", () => {
	test("gives what the task gives, and leaves no timer [P9]", async () => {
		const clock = createFakeClock();
		await expect(withDeadline(clock, 100, "a task", async () => 7)).resolves.toBe(7);
		expect(clock.waiting).toBe(0);
	});

	test("[P7] ends a task that ignores its signal, and says what was waited for and how long", async () => {
		const clock = createFakeClock();
		let seen: AbortSignal | undefined;
		const waiting = withDeadline(clock, 100, "an answer from nowhere", (signal) => {
			seen = signal;
			return forever();
		});
		const failed = expect(waiting).rejects.toMatchObject({
			code: "DeadlineExceeded",
			retryable: true,
			message: "an answer from nowhere took longer than 100 ms",
			data: { timeoutMs: 100 },
		});
		await clock.advance(99);
		expect(seen?.aborted).toBe(false);
		await clock.advance(1);
		expect(seen?.aborted).toBe(true);
		await failed;
		expect(clock.waiting).toBe(0);
	});

	test("passes the task's own failure on, and leaves no timer", async () => {
		const clock = createFakeClock();
		const mine = new Error("mine");
		await expect(withDeadline(clock, 100, "a task", () => Promise.reject(mine))).rejects.toBe(mine);
		await expect(
			withDeadline(clock, 100, "a task", () => {
				throw mine;
			}),
		).rejects.toBe(mine);
		expect(clock.waiting).toBe(0);
	});

	test("the caller's signal ends it at once, with its reason as the cause, and the listener goes", async () => {
		const clock = createFakeClock();
		const outer = new AbortController();
		const waiting = withDeadline(clock, 100, "a task", forever, outer.signal);
		const reason = new Error("gone");
		outer.abort(reason);
		await expect(waiting).rejects.toMatchObject({ code: "Aborted", cause: reason, message: "a task was aborted" });
		expect(clock.waiting).toBe(0);
	});

	test("under a signal that is aborted already the task is not begun", async () => {
		let begun = false;
		const waiting = withDeadline(
			createFakeClock(),
			100,
			"a task",
			async () => {
				begun = true;
			},
			AbortSignal.abort(),
		);
		await expect(waiting).rejects.toMatchObject({ code: "Aborted" });
		expect(begun).toBe(false);
	});

	test("a task that fails after the deadline is nobody's unhandled rejection", async () => {
		const clock = createFakeClock();
		const unhandled: unknown[] = [];
		const note = (error: unknown) => void unhandled.push(error);
		process.on("unhandledRejection", note);
		let fail = (_error: Error) => {};
		const waiting = withDeadline(clock, 100, "a task", () => new Promise<never>((_resolve, reject) => (fail = reject)));
		const failed = expect(waiting).rejects.toMatchObject({ code: "DeadlineExceeded" });
		await clock.advance(100);
		await failed;
		fail(new Error("too late"));
		await clock.settle();
		process.off("unhandledRejection", note);
		expect(unhandled).toEqual([]);
	});
});

describe("a pause", () => {
	test("ends when its time has come, or when the signal aborts, and leaves nothing [P9]", async () => {
		const clock = createFakeClock();
		const controller = new AbortController();
		const ended: string[] = [];
		void pause(clock, 50).then(() => ended.push("time"));
		void pause(clock, 1000, controller.signal).then(() => ended.push("signal"));
		await clock.advance(50);
		expect(ended).toEqual(["time"]);
		controller.abort();
		await clock.settle();
		expect(ended).toEqual(["time", "signal"]);
		await pause(clock, 1000, controller.signal);
		expect(clock.waiting).toBe(0);
	});
});

test("a wait longer than a timer can take is not over at once", async () => {
	let runs = 0;
	const timer = systemClock.after(2 ** 31, () => {
		runs += 1;
	});
	await new Promise((resolve) => setTimeout(resolve, 20));
	timer.cancel();
	expect(runs).toBe(0);
});
