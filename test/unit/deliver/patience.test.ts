import { expect, test } from "vitest";
import { Patience } from "../../../lambda/layer/src/deliver/patience.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

test("[P3] what is missing is given up after the bound, looked for all the time", async () => {
	const clock = createFakeClock();
	const patience = new Patience(clock, 1_000);
	for (let n = 1; n < 10; n += 1) {
		await clock.advance(100);
		expect(patience.isOver()).toBe(false);
	}
	await clock.advance(100);
	expect(patience.isOver()).toBe(true);
});

test("[P3] a process that was held still looks again before it gives up: time alone proves nothing", async () => {
	const clock = createFakeClock();
	const patience = new Patience(clock, 1_000);
	for (let look = 1; look < 4; look += 1) {
		await clock.advance(60_000);
		expect(patience.isOver()).toBe(false);
	}
	await clock.advance(60_000);
	expect(patience.isOver()).toBe(true);
});

test("[P3] what moves on, or cannot be asked, has all of its time again", async () => {
	const clock = createFakeClock();
	const patience = new Patience(clock, 1_000);
	for (let n = 0; n < 9; n += 1) {
		await clock.advance(100);
		patience.isOver();
	}
	await clock.advance(90);
	patience.renew();
	for (let n = 0; n < 9; n += 1) {
		await clock.advance(100);
		expect(patience.isOver()).toBe(false);
	}
});
