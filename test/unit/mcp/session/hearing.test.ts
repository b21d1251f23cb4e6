import { expect, test } from "vitest";
import { Hearing, type HearingDeps } from "../../../../lambda/layer/src/mcp/session/hearing.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";

test("[P3] what may have been missed while sessions are looked up is looked up after it, once for all who ask", async () => {
	const sweeps: PromiseWithResolvers<void>[] = [];
	const live = {
		sweep() {
			const sweep = Promise.withResolvers<void>();
			sweeps.push(sweep);
			return sweep.promise;
		},
	};
	const clock = createFakeClock();
	const hearing = new Hearing({ live, gets: { channels: () => [] }, idleMs: 1_000 } as unknown as HearingDeps);
	const first = hearing.sweep();
	await clock.settle();
	hearing.missed();
	const last = hearing.sweep();
	await clock.settle();
	expect(sweeps).toHaveLength(1);
	sweeps[0]?.resolve();
	await first;
	await clock.settle();
	expect(sweeps).toHaveLength(2);
	sweeps[1]?.resolve();
	await last;
	await clock.settle();
	expect(sweeps).toHaveLength(2);
});
