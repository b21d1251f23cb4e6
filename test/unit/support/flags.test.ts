/** The programs of this repository, called wrongly and asked for help: nobody is shown a stack. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ROOT } from "../../support/root.ts";

const PROGRAMS = ["test/demo/start.ts", "test/chaos/main.ts", "test/chaos/drain.ts", "test/load/main.ts"];

function run(program: string, ...args: string[]) {
	const command = ["--conditions=mcp-fanout-source", join(ROOT, program), ...args];
	return spawnSync(process.execPath, command, { encoding: "utf8", timeout: 20_000 });
}

test.each(PROGRAMS)("%s says what it takes when it is asked, and ends well", (program) => {
	const { status, stdout, stderr } = run(program, "--help");
	expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
	expect(stdout).toMatch(/^usage: n/);
});

test.each(PROGRAMS)("%s says in a line what is wrong with a call, then what it takes, and ends with 2", (program) => {
	const { status, stdout, stderr } = run(program, "--nonsense");
	expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
	expect(stderr).toMatch(/^Unknown option '--nonsense'.*\n\nusage: n/);
	expect(stderr).not.toContain("    at ");
});

test.each([
	["test/chaos/main.ts", "--minutes=-1", "--minutes is a number over 0 and up to 60, not -1"],
	["test/chaos/main.ts", "--world=mars", "--world is one of nats-r3, "],
	["test/chaos/drain.ts", "--sessions=none", "--sessions is from 1 to 1000000, not none"],
	["test/load/main.ts", "--rate=0", "--rate is a whole number from 1, not 0"],
	["test/load/main.ts", "mars", "no such row: mars"],
])("%s refuses %s by name", (program, flag, said) => {
	const { status, stderr } = run(program, flag);
	expect(status).toBe(2);
	expect(stderr.split("\n")[0]).toContain(said);
});
