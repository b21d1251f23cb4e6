/** `fanout doctor` as a process of a deployed cell would run it: a child with the cell's environment, and no file. */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ENV } from "mcp-fanout/env-names";
import { afterAll, expect, it } from "vitest";
import type { Cell } from "../support/cell.ts";
import { openCells } from "../support/cells.ts";
import { ROOT } from "../support/root.ts";

const { emulator, cells, close } = await openCells();
afterAll(close);
const [near, far] = cells as readonly [Cell, Cell];

function doctor(
	environment: Readonly<Record<string, string>>,
	...args: string[]
): Promise<{ code: number; out: string }> {
	const all = ["--conditions=mcp-fanout-source", join(ROOT, "cli", "fanout.ts"), "doctor", ...args];
	const env = { ...emulator.env, AWS_REGION: near.region, ...near.environment, ...environment };
	return new Promise((resolve) => {
		execFile(process.execPath, all, { cwd: emulator.dir, env, timeout: 60_000 }, (error, stdout, stderr) =>
			resolve({ code: error === null ? 0 : Number(error.code), out: stdout + stderr }),
		);
	});
}

it("finds all that the cell gives a process, and hears what it publishes to a topic [P10]", async () => {
	const { code, out } = await doctor({}, "--round-trip");
	expect(out).not.toMatch(/^(warn|fail)/m);
	for (const what of [
		`the mailbox queue of ${near.region} \\(own\\)`,
		`the mailbox queue of ${far.region}`,
		`the log table ${near.environment[ENV.logTable]}`,
		`the sessions table ${near.environment[ENV.sessionsTable]}`,
		`the back-end API wss?://\\S+`,
	]) {
		expect(out).toMatch(new RegExp(`^ok {3}aws: ${what} answered after \\d+ ms$`, "m"));
	}
	expect(out).toContain("ok   aws: this machine's clock is AWS's\n");
	expect(out).toMatch(/^ok {3}aws: round trip: accepted after [\d.]+ ms \(\w+, \w+\), heard after [\d.]+ ms$/m);
	expect(out).toMatch(/^ok {3}registry: sessions in dynamodb: read after \d+ ms$/m);
	expect(out).not.toContain(emulator.env.AWS_SECRET_ACCESS_KEY);
	expect(code).toBe(0);
}, 90_000);

it("reads a file's cell from its parameter, or says that it cannot", async () => {
	const file = join(emulator.dir, "doctor.toml");
	const prefix = near.environment[ENV.mailboxName].replace(/-mailbox\.fifo$/, "");
	const namespace = near.environment[ENV.namespace];
	const run = (named: string) => {
		writeFileSync(
			file,
			`[notification]\ncluster_id = "${namespace}"\n[notification.aws]\nparameter_prefix = "${named}"\n`,
		);
		// Without the cell's own variables.
		return doctor(Object.fromEntries(Object.keys(near.environment).map((name) => [name, ""])), file);
	};
	const found = await run(prefix);
	expect([found.code, found.out]).toEqual([0, expect.not.stringMatching(/^fail/m)]);
	expect(found.out).toMatch(new RegExp(`^ok {3}aws: the mailbox queue of ${far.region} answered`, "m"));
	const none = await run("nobodys-fanout");
	expect(none.code).toBe(1);
	expect(none.out).toMatch(
		/^fail configuration: reading the SSM parameter \/nobodys-fanout\/environment in \S+ failed: ParameterNotFound.* -> does it exist/,
	);
}, 60_000);

it("says which of them it does not find, and looks at the others", async () => {
	const { code, out } = await doctor({ [ENV.mailboxName]: "nobodys-mailbox.fifo", [ENV.logTable]: "nobodys-log" });
	expect(code).toBe(1);
	const failed = out.split("\n").filter((line) => line.startsWith("fail"));
	expect(failed).toHaveLength(2);
	expect(failed.join("\n")).toMatch(/nobodys-mailbox\.fifo/);
	expect(failed.join("\n")).toMatch(/the log table nobodys-log failed: ResourceNotFoundException/);
	expect(out).toMatch(/^warn aws: .*nobodys-mailbox\.fifo/m);
	expect(out).toMatch(/^ok {3}aws: the sessions table /m);
}, 60_000);
