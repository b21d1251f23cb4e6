import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { main } from "../../../cli/main.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-tail-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = join(directory, "fanout.toml");
const log = join(directory, "log.db");
writeFileSync(
	file,
	`[notification]\n[notification.local]\nfile = '${log}'\n[notification.outbox]\nfile = '${log}.outbox'\n`,
);

async function run(
	args: readonly string[],
	signal?: AbortSignal,
	environment: NodeJS.ProcessEnv = { FANOUT_CONFIG: file },
) {
	const out: string[] = [];
	const err: string[] = [];
	const output = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
	return { code: await main(args, environment, output, signal), out, err: err.join("\n") };
}

test("a wrong call is told with how it is called, and exits with 2", async () => {
	const method = ["--method", "notifications/message"];
	for (const args of [
		["send", "--all"],
		["send", ...method],
		["send", ...method, "--all", "--topic", "x"],
		["send", ...method, "--all", "--params", "{"],
		["send", ...method, "--al"],
		["tail"],
		["tail", "--all", "--count", "0"],
		["tail", "--all", "a", "b"],
		["tail", "--every-tenant", "--session", "x"],
	]) {
		const { code, err } = await run(args);
		expect(code, args.join(" ")).toBe(2);
		expect(err).toMatch(new RegExp(`\\n\\n {2}${args[0]} \\[file\\] `));
	}
});

test("what cannot be sent is a problem of the message, with exit code 1", async () => {
	for (const more of [
		["--method", ""],
		["--method", "notifications/message", "--params", "[1]"],
		["--method", "x", "--topic", ""],
	]) {
		const { code, err } = await run(["send", ...(more.includes("--topic") ? [] : ["--all"]), ...more]);
		expect([code, err === ""], more.join(" ")).toEqual([1, false]);
	}
});

test("the receipt names the protocol eras that cannot bring it to a client", async () => {
	const { out } = await run(["send", "--topic", "news", "--method", "notifications/tools/list_changed"]);
	expect(JSON.parse(out.join(""))).toMatchObject({ undeliverable: ["2025", "2026-07-28"] });
});

test("a configuration of one process is warned of, and its files are left alone", async () => {
	const sent = await run(["send", "--all", "--method", "notifications/tools/list_changed"]);
	expect(sent.code).toBe(0);
	expect(sent.err).toMatch(/^warning: no transport of it reaches another process/);
	const { code, err } = await run(["tail", "--all"], AbortSignal.abort());
	expect([code, err]).toEqual([0, expect.stringMatching(/^warning: /)]);
	expect(() => rmSync(log)).toThrow("ENOENT");
	expect(() => rmSync(`${log}.outbox`)).toThrow("ENOENT");
});

test("where there is no file the environment configures them", async () => {
	const { code, out } = await run(["send", "--all", "--method", "x"], undefined, { FANOUT_CLUSTER_ID: "by-variable" });
	expect([code, out.join("")]).toEqual([0, expect.stringContaining('"by-variable/default/all:"')]);
});
