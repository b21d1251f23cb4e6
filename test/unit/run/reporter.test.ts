import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { COUNTS_FILE } from "../../run/reporter.ts";
import { BIN } from "../../support/root.ts";

let dir: string | undefined;

afterEach(async () => {
	if (dir !== undefined) await rm(dir, { recursive: true, force: true });
});

/** Runs vitest with our reporter over files of its own. */
async function report(files: Readonly<Record<string, string>>): Promise<{ out: string; counts: unknown }> {
	dir = await mkdtemp(join(tmpdir(), "reporter test "));
	for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
	const countsFile = join(dir, "counts.json");
	const reporter = join(import.meta.dirname, "../../run/reporter.ts");
	const args = ["run", "--root", dir, "--globals", "--reporter", reporter];
	const env = { ...process.env, NO_COLOR: "1", [COUNTS_FILE]: countsFile };
	const out = await new Promise<string>((resolve) => {
		execFile(join(BIN, "vitest"), args, { env }, (_error, stdout) => resolve(stdout));
	});
	return { out, counts: JSON.parse(await readFile(countsFile, "utf8")) };
}

describe("the reporter of npm test", () => {
	it("counts what passed and failed, and prints why a test was skipped", async () => {
		const { out, counts } = await report({
			"a.test.js": `
				test("passes", () => {});
				test("fails", () => { expect(1).toBe(2); });
				test("skips", (context) => { context.skip("there is no broker here"); });`,
		});
		expect(counts).toEqual({ passed: 1, failed: 1, skipped: 1 });
		expect(out).toMatch(/SKIPPED .*skips: there is no broker here/);
		expect(out).toMatch(/FAILED .*fails/);
	}, 60_000);

	it("takes a skip without a reason, a file that does not load and a file without a test for failures", async () => {
		const { out, counts } = await report({
			"skip.test.js": `test("skips", (context) => { context.skip(); });`,
			"load.test.js": `throw new Error("does not load");`,
			"none.test.js": `describe("nothing", () => {});`,
		});
		expect(counts).toEqual({ passed: 0, failed: 3, skipped: 0 });
		expect(out).toMatch(/skipped without a reason/);
		expect(out).toMatch(/does not load/);
		expect(out).toMatch(/none\.test\.js/);
	}, 60_000);

	it("tells a failed set-up once, and counts every case that did not run for it", async () => {
		const { out, counts } = await report({
			"hook.test.js": `
				beforeAll(() => { throw new Error("the broker does not start"); });
				test("first", () => {});
				describe("more", () => { test("second", () => {}); });`,
			"nested.test.js": `
				test("passes", () => {});
				describe("inner", () => {
					beforeAll(() => { throw new Error("the second one neither"); });
					test("third", () => {});
				});`,
		});
		expect(counts).toEqual({ passed: 1, failed: 5, skipped: 0 });
		expect(out.match(/the broker does not start/g)).toHaveLength(1);
		expect(out.match(/the second one neither/g)).toHaveLength(1);
		expect(out).not.toContain("skipped without a reason");
	}, 60_000);
});
