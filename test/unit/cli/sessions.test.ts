import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { main } from "../../../cli/main.ts";
import { json, word } from "../../../cli/output.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-sessions-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, "fanout.toml");
writeFileSync(file, "[notification]\n[notification.local]\n");

async function run(...args: string[]) {
	const out: string[] = [];
	const err: string[] = [];
	const output = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
	return { code: await main(["sessions", ...args], {}, output), out, err: err.join("\n") };
}

test("a wrong call is told with how it is called, and exits with 2", async () => {
	for (const args of [
		["--limit", "0"],
		["--limit", "101"],
		["--limit", "x"],
		["--count", "--session", "x"],
		["--count", "--limit", "3"],
		["--session", "x", "--after", "y"],
		["--sesion", "x"],
		[file, "--config", file],
	]) {
		const { code, err } = await run(...args);
		expect(code, args.join(" ")).toBe(2);
		expect(err).toMatch(/\n\n {2}sessions \[file\] /);
	}
});

test("a configuration of one process is warned of: sessions of another are not seen", async () => {
	for (const named of [[file], ["--config", file]]) {
		const { code, out, err } = await run(...named, "--count");
		expect([code, out]).toEqual([0, ["0"]]);
		expect(err).toMatch(/^warning: no transport of it reaches another process/);
	}
});

test("a name that others chose stays one word, and does nothing to a terminal", () => {
	expect(["user@example.com", "a:b/c-1", "-", "", "a b", "é"].map(word)).toEqual([
		...["user@example.com", "a:b/c-1", '"-"', '""', '"a b"', '"é"'],
	]);
	const hostile = "\u001b[2J\u009b2J\u007f\n\r\u2028\u202ex\ufeff";
	for (const shown of [word(hostile), json({ hostile })]) expect(shown).toMatch(/^[\u0020-\u007e]+$/);
	expect(JSON.parse(json({ hostile }))).toEqual({ hostile });
});
