/** The official conformance suite, as somebody else's word on what three processes behind one address do. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { McpFleet } from "../support/mcp-fleet.ts";
import { startConformanceFleet } from "./fleet.ts";
import { LEGS, runLeg } from "./suite.ts";

let fleet: McpFleet;
beforeAll(async () => {
	fleet = await startConformanceFleet();
}, 120_000);
afterAll(() => fleet?.stop());

for (const leg of LEGS) {
	test(leg.name, async () => {
		// A suite that found nothing to run would be satisfied too.
		expect(await runLeg(leg, fleet.url, fleet.dir)).toMatch(/[1-9]\d* passed|Passed: |Baseline check passed/);
	}, 150_000);
}
