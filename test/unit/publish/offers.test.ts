import { describe, expect, test } from "vitest";
import { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { Offers } from "../../../lambda/layer/src/publish/offers.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const forever = () => new Promise<never>(() => {});

describe("the offers under way", () => {
	test("[P7] each ends at its own deadline, though it ignores its signal and though one timer looks after all", async () => {
		const clock = createFakeClock();
		const offers = new Offers(clock);
		const signals: AbortSignal[] = [];
		const ended: string[] = [];
		const begin = (timeoutMs: number) => {
			const offer = offers.run(timeoutMs, `offer ${timeoutMs}`, (signal) => {
				signals.push(signal);
				return forever();
			});
			return offer.catch((error: FanoutError) => ended.push(`${error.code}: ${error.message}`));
		};
		for (const timeoutMs of [120, 30, 121]) begin(timeoutMs);
		expect(clock.waiting).toBe(1);
		await clock.advance(29);
		expect(ended).toEqual([]);
		await clock.advance(1);
		expect(ended).toEqual(["DeadlineExceeded: offer 30 took longer than 30 ms"]);
		await clock.advance(90);
		expect(ended).toHaveLength(2);
		await clock.advance(1);
		expect(ended).toHaveLength(3);
		expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
		expect(clock.waiting).toBe(0);
	});

	test("[P9] what is answered leaves no timer but for a moment", async () => {
		const clock = createFakeClock();
		const offers = new Offers(clock);
		await expect(offers.run(5_000, "an offer", async () => 7)).resolves.toBe(7);
		await expect(offers.run(5_000, "an offer", () => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
		await clock.advance(50);
		expect(clock.waiting).toBe(0);
	});

	test("[P9] an abort ends all at once and keeps others from beginning, until more are admitted", async () => {
		const clock = createFakeClock();
		const offers = new Offers(clock);
		const cause = new FanoutError("Closed", "over");
		const waiting = offers.run(100, "an offer", forever);
		offers.abort(cause);
		await expect(waiting).rejects.toMatchObject({ code: "Aborted", message: "an offer was aborted", cause });
		expect(clock.waiting).toBe(0);
		let begun = false;
		const begin = () =>
			offers.run(100, "another", async () => {
				begun = true;
			});
		await expect(begin()).rejects.toMatchObject({ code: "Aborted" });
		expect([begun, offers.isAborted]).toEqual([false, true]);
		offers.admit();
		await begin();
		expect(begun).toBe(true);
	});

	test("one that aborts the others while it begins ends too", async () => {
		const offers = new Offers(createFakeClock());
		const offer = offers.run(100, "an offer", () => {
			offers.abort(new FanoutError("Closed", "over"));
			return forever();
		});
		await expect(offer).rejects.toMatchObject({ code: "Aborted" });
	});
});
