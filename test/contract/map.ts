/** Maps the contract suite to vitest: a case that cannot run is skipped with its reason. */

import { type Harness, transportCases } from "mcp-fanout/testing/transport";
import { describe, test } from "vitest";

export function runContract(name: string, create: () => Harness): void {
	describe(name, () => {
		const harness = create();
		for (const { title, missing, run } of transportCases) {
			const reason = missing(harness);
			test(title, async (context) => {
				if (reason !== undefined) context.skip(reason);
				await run(harness);
			});
		}
	});
}
