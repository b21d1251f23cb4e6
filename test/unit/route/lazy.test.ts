import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** What a process has loaded after the script, of cockatiel's files. */
function loaded(script: string): number {
	const hooked = `
		import { registerHooks } from "node:module";
		let count = 0;
		registerHooks({ load: (url, context, next) => { if (url.includes("/cockatiel/")) count += 1; return next(url, context); } });
		const { createFanout } = await import("mcp-fanout");
		${script}
		console.log(count);`;
	const root = fileURLToPath(new URL("../../..", import.meta.url));
	const args = ["--conditions=mcp-fanout-source", "--input-type=module", "--eval", hooked];
	const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
	return Number(stdout);
}

test("cockatiel is loaded with the first breaker, and not by importing the package or by one transport alone", () => {
	expect(loaded("")).toBe(0);
	expect(loaded("await (await createFanout({ local: {} })).close();")).toBe(0);
	expect(loaded("await (await createFanout({ local: {}, breaker: {} })).close();")).toBeGreaterThan(0);
}, 60_000);
