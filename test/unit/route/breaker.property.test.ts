import fc from "fast-check";
import { expect, test } from "vitest";
import { createBreaker } from "../../../lambda/layer/src/route/breaker.ts";
import { DEFAULT_BREAKER } from "../../../lambda/layer/src/route/options.ts";
import { upperBound } from "../../../lambda/layer/src/route/trip.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("breaker.property");
type Verdict = "success" | "failure" | "neutral";

/** The sentences of the design; the success rate is left out of it (tested below). */
class Model {
	state: "closed" | "open" | "half-open" = "closed";
	inRow = 0;
	probes = 0;
	dueAt = 0;
	isUnproven = false;

	call(verdict: Verdict, now: number): void {
		const pause = Math.min(300_000, 30_000 * 2 ** this.probes);
		if (this.state === "open") {
			if (verdict === "failure") {
				this.probes += 1;
				this.dueAt = now + Math.min(300_000, 30_000 * 2 ** this.probes);
				return;
			}
			this.state = "closed";
			this.probes = 0;
			this.inRow = 0;
			this.isUnproven = verdict === "neutral";
			return;
		}
		if (verdict === "neutral") return;
		if (verdict === "success") {
			this.inRow = 0;
			this.isUnproven = false;
			return;
		}
		this.inRow += 1;
		if (this.inRow < 5 && !this.isUnproven) return;
		this.isUnproven = false;
		this.state = "open";
		this.dueAt = now + pause;
	}
}

test("[P7] a breaker goes where its model goes, one call after the other", async () => {
	const step = fc.record({
		verdict: fc.constantFrom<Verdict>("success", "failure", "failure", "failure", "neutral"),
		wait: fc.constantFrom(0, 0, 1, 15_000, 30_000, 60_000, 300_000),
	});
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
			const clock = createFakeClock();
			const options = { ...DEFAULT_BREAKER, minCalls: 1_000, jitter: 0 };
			const breaker = createBreaker({ clock, options, random: () => 0.5 });
			const model = new Model();
			for (const { verdict, wait } of steps) {
				await clock.advance(wait);
				const admits = model.state === "closed" || clock.monotonic() >= model.dueAt;
				expect(breaker.admits).toBe(admits);
				if (!admits) continue;
				await breaker.offer(async () => {
					if (model.state === "open") {
						// One probe at a time.
						expect([breaker.state, breaker.admits]).toEqual(["half-open", false]);
					}
					return verdict;
				});
				model.call(verdict, clock.monotonic());
				expect(breaker.state).toBe(model.state);
			}
			breaker.close();
			expect(clock.waiting).toBe(0);
		}),
		{ seed, numRuns: 200 },
	);
});

test("the pause before a probe is jittered downwards, grows with failed probes, and stays under its cap", async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.double({ min: 0, max: 0.999, noNaN: true }),
			fc.integer({ min: 0, max: 8 }),
			async (draw, probes) => {
				const clock = createFakeClock();
				const breaker = createBreaker({ clock, options: DEFAULT_BREAKER, random: () => draw });
				for (let call = 0; call < 5; call += 1) await breaker.offer(async () => "failure");
				for (let probe = 0; probe <= probes; probe += 1) {
					const full = Math.min(300_000, 30_000 * 2 ** probe);
					await clock.advance(full * (1 - 0.2 * draw) - 1);
					expect(breaker.admits).toBe(false);
					await clock.advance(2);
					expect(breaker.admits).toBe(true);
					await breaker.offer(async () => "failure");
				}
				breaker.close();
			},
		),
		{ seed, numRuns: 30 },
	);
});

async function rate(successes: number, failures: number): Promise<string> {
	const clock = createFakeClock();
	const options = { ...DEFAULT_BREAKER, consecutiveFailures: 1_000 };
	const breaker = createBreaker({ clock, options, random: () => 0 });
	for (let call = 0; call < Math.max(successes, failures) && breaker.admits; call += 1) {
		if (call < successes) await breaker.offer(async () => "success");
		if (call < failures && breaker.admits) await breaker.offer(async () => "failure");
	}
	breaker.close();
	return breaker.state;
}

test("a falling success rate opens it, from the minimum of calls on and the surer the more calls there are", async () => {
	expect(await rate(0, 19)).toBe("closed");
	expect(await rate(2, 40)).toBe("open");
	expect(await rate(12, 18)).toBe("closed");
	expect(await rate(400, 600)).toBe("open");
	expect(await rate(600, 400)).toBe("closed");
	expect(upperBound(0, 0)).toBe(1);
	expect(upperBound(5, 10)).toBeCloseTo(0.7634, 3);
});

test("the threshold adapts: a target that fails half the time usually is not shut for it", async () => {
	const clock = createFakeClock();
	const options = { ...DEFAULT_BREAKER, consecutiveFailures: 1_000, usualShare: 0.8 };
	const run = async (calls: number, everyNth: number, breaker: ReturnType<typeof createBreaker>) => {
		for (let call = 0; call < calls && breaker.admits; call += 1) {
			await breaker.offer(async () => (call % everyNth === 0 ? "failure" : "success"));
			await clock.advance(100);
		}
		return breaker.state;
	};
	const fresh = createBreaker({ clock, options, random: () => 0 });
	expect(await run(400, 2, fresh)).toBe("open");
	const seasoned = createBreaker({ clock, options, random: () => 0 });
	for (const everyNth of [8, 6, 5, 4, 3, 3]) expect(await run(500, everyNth, seasoned)).toBe("closed");
	expect(await run(500, 2, seasoned)).toBe("closed");
});
