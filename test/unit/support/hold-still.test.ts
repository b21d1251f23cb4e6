import { spawn } from "node:child_process";
import { expect, test } from "vitest";
import { holdStill } from "../../support/hold-still.ts";
import { settle } from "../../support/settle.ts";

const RESTLESS = "setInterval(() => process.stdout.write('here'), 1)";

test("a process that is held still says nothing more, until it goes on", async () => {
	const child = spawn(process.execPath, ["-e", RESTLESS], { stdio: ["ignore", "pipe", "inherit"] });
	try {
		let heard = 0;
		child.stdout.on("data", (chunk: Buffer) => {
			heard += chunk.length;
		});
		await expect.poll(() => heard).toBeGreaterThan(0);
		await holdStill(child.pid as number);
		// What it said before is on its way.
		await settle();
		const before = heard;
		await settle(100);
		expect(heard).toBe(before);
		child.kill("SIGCONT");
		await expect.poll(() => heard).toBeGreaterThan(before);
	} finally {
		child.kill("SIGKILL");
	}
});
