/** The examples on web frameworks: two processes behind one address, judged by each example's own client. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { startMcpFleet } from "../support/mcp-fleet.ts";
import { run } from "../support/proc.ts";
import { ROOT } from "../support/root.ts";

const SAYS: Readonly<Record<string, string>> = {
	hono: "both listeners of docs://handbook heard of it, once; accepted by nats (fleet)",
	"v1-sessions": "one session, many processes: its state, its questions and its messages came along, and its end",
	express: "both of Bob's devices heard of his mail, once, and Ann of nothing",
};

for (const [example, says] of Object.entries(SAYS)) {
	test(`[P4] [P5] examples/${example}: its own client is satisfied by two processes`, async () => {
		const fleet = await startMcpFleet(2, { example });
		try {
			const output = await run({
				name: `the client of ${example}`,
				command: process.execPath,
				args: [join(ROOT, "examples", example, "client.ts"), example === "v1-sessions" ? fleet.url : fleet.origin],
				cwd: ROOT,
				env: fleet.env,
				logFile: join(fleet.dir, "client.log"),
				deadlineMs: 60_000,
			});
			expect(output).toContain(says);
		} finally {
			await fleet.stop();
		}
	}, 120_000);
}
