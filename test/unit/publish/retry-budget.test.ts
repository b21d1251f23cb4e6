import fc from "fast-check";
import { expect, test } from "vitest";
import { RetryBudget } from "../../../lambda/layer/src/publish/retry-budget.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("retry-budget");

test("[P7] whoever waits for its token: never more retries in any span than the burst and the rate allow", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(fc.constantFrom(0, 0, 0, 10, 100, 5_000), { maxLength: 80 }), async (waits) => {
			const clock = createFakeClock();
			const budget = new RetryBudget(clock, { burst: 5, perSecond: 10 });
			const retries: number[] = [];
			for (const wait of waits) {
				await clock.advance(wait);
				retries.push(clock.monotonic() + budget.takeMs(Number.POSITIVE_INFINITY));
			}
			retries.sort((x, y) => x - y);
			for (const [first, from] of retries.entries()) {
				for (const [last, to] of retries.entries()) {
					if (last < first) continue;
					expect(last - first + 1).toBeLessThanOrEqual(5 + ((to - from) * 10) / 1_000 + 1e-6);
				}
			}
		}),
		{ seed, numRuns: 100 },
	);
});

test("[P7] who cannot wait for its token takes none: an outage of thousands leaves no debt behind", async () => {
	const clock = createFakeClock();
	const budget = new RetryBudget(clock, { burst: 5, perSecond: 10 });
	const waits = Array.from({ length: 10_000 }, () => budget.takeMs(500));
	expect([waits.slice(0, 12), waits.at(-1)]).toEqual([[0, 0, 0, 0, 0, 100, 200, 300, 400, 500, 600, 600], 600]);
	await clock.advance(1_000);
	expect(budget.takeMs(500)).toBe(0);
});
