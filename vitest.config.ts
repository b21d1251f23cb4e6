import { defineConfig } from "vitest/config";

export default defineConfig({
	resolve: { conditions: ["mcp-fanout-source", "node"] },
	ssr: { resolve: { conditions: ["mcp-fanout-source", "node"] } },
	test: {
		include: ["test/**/*.test.ts"],
		testTimeout: 30_000,
		hookTimeout: 120_000,
		// A poll waits for something that comes: its deadline is for what never does, not for a busy machine.
		expect: { poll: { timeout: 20_000 } },
		retry: 0,
		maxWorkers: 2,
	},
});
