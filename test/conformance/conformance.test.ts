/** The official conformance suite, as somebody else's word on what three processes behind one address do. */
import { afterAll, beforeAll, test } from "vitest";
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
		await runLeg(leg, fleet.url, fleet.dir);
	}, 150_000);
}
