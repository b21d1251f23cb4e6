import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { ROOT } from "../../support/root.ts";

test("the page's example is the file that it names, to the letter, and both of its streams have all", async () => {
	const file = join(ROOT, "examples/client-streams/main.ts");
	const page = readFileSync(join(ROOT, "docs/client-streams.md"), "utf8");
	const code = readFileSync(file, "utf8").replace(/^\/\*\*[\s\S]*?\*\/\n/, "");
	expect(page.match(/^```ts\n([\s\S]*?)^```$/m)?.[1]).toBe(code);
	const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=mcp-fanout-source", file], {
		timeout: 20_000,
	});
	expect(stdout.trim().split("\n")).toEqual([
		"WebSocket: one",
		"WebSocket: two, while it was away",
		"SSE: one",
		"SSE: two, while it was away",
	]);
});
