import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { main } from "../../../cli/main.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-check-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const MISSION = join(import.meta.dirname, "..", "config", "mission.toml");
const file = (name: string, text: string) => {
	const path = join(directory, name);
	writeFileSync(path, text);
	return path;
};

async function run(args: readonly string[], environment: NodeJS.ProcessEnv = {}) {
	const out: string[] = [];
	const err: string[] = [];
	const code = await main(args, environment, { out: (text) => out.push(text), err: (text) => err.push(text) });
	return { code, out, err: err.join("\n") };
}

test("it says what becomes of a session's notification, and which targets are skipped", async () => {
	const progress = await run(["check", MISSION, "--session", "lambda-7", "--method", "notifications/progress"]);
	expect(progress).toMatchObject({ code: 0, err: "" });
	expect(progress.out).toContain("transports by priority: local, nats");
	expect(progress.out).toContain("not enabled: aws");
	expect(progress.out).toContain("warning: rule 2 skips aws: not enabled");
	expect(progress.out.slice(-4)).toEqual([
		"notifications/progress to session lambda-7:",
		"  rule 1",
		"  lanes: nats",
		"  backup: local (this process's client streams, while the first lane refuses)",
	]);
	const message = await run(["check", "--session=lambda-7"], { FANOUT_CONFIG: MISSION });
	expect(message.out.slice(-3)).toEqual([
		"notifications/message to session lambda-7:",
		"  rule 2, then rule 3",
		"  lanes: local",
	]);
});

test("it names rules that are never reached", async () => {
	const rule = (condition: string, more = "") =>
		`[[notification.routing.rules]]\ncondition = ${condition}\ntargets = ["local"]\n${more}\n`;
	const path = file(
		"rules.toml",
		[
			"[notification.local]\n",
			rule('{ type = "notifications/*" }'),
			rule('{ all = [{ type = "notifications/progress" }, { session_count = 3 }] }'),
			rule('{ session_pattern = "*" }', "continue_on_match = true"),
			rule('{ session_pattern = "web-*" }'),
			rule('{ all = ["always", { session_count = 0 }] }'),
			rule('{ session_pattern = "web-*" }'),
			rule('{ not = { type = "x" } }'),
			rule('"always"'),
		].join(""),
	);
	const { code, out } = await run(["check", path]);
	expect(code).toBe(0);
	expect(out.filter((line) => line.startsWith("warning"))).toEqual([
		"warning: rule 2 is never reached: rule 1 decides all that it means",
		"warning: rule 6 is never reached: rule 4 decides all that it means",
		"warning: rule 7 is never reached: rule 5 decides all that it means",
		"warning: rule 8 is never reached: rule 5 decides all that it means",
	]);
});

test("exit codes: 1 for a file with problems, 2 for a wrong call, 3 for a target that does not start", async () => {
	const broken = await run(["check", file("broken.toml", "[notification.locl]\n")]);
	expect(broken.code).toBe(1);
	expect(broken.err).toMatch(/broken\.toml:1: notification\.locl: is not a known key; .*did you mean local\?/);
	const missing = await run(["check", join(directory, "missing.toml")]);
	expect(missing.code).toBe(1);
	expect(missing.err).toMatch(/missing\.toml: file: cannot be read/);
	for (const args of [[], ["chekc"], ["check", "--sesion", "x"], ["check", "--sessions", "-1"], ["check", "a", "b"]]) {
		expect((await run(args)).code, args.join(" ")).toBe(2);
	}
	expect((await run(["--help"])).code).toBe(0);
	expect(await run(["check", "--help"])).toMatchObject({ code: 0, err: "" });
	expect(await run(["--version"])).toMatchObject({ code: 0, out: [expect.stringMatching(/^\d+\.\d+\.\d+$/)] });
	const unknown = await run(["chek"]);
	expect(unknown).toMatchObject({ code: 2, out: [] });
	expect(unknown.err).toMatch(/^no such command: chek\n/);
});

test("without a file the environment says all, as it does for a fanout: variables, a cell, or nothing", async () => {
	const lines = async (environment: NodeJS.ProcessEnv) => (await run(["check"], environment)).out.slice(0, 2);
	const first = "no fanout.toml here, the environment: ok";
	expect(await lines({})).toEqual([first, "transports by priority: local"]);
	expect(await lines({ FANOUT_NATS_SERVERS: "nats://nats-1:4222" })).toEqual([first, "transports by priority: nats"]);
	expect(await lines({ FANOUT_TOPIC_ARN: "arn:aws:sns:us-east-1:1:t" })).toEqual([
		first,
		"transports by priority: aws",
	]);
	const general = file("general.toml", "[notification]\ntimeout_ms = 100\n");
	const inCell = await run(["check", general], { FANOUT_TOPIC_ARN: "arn:aws:sns:us-east-1:1:t" });
	expect(inCell.out).toContain("transports by priority: aws");
});

test("what failed is said once, although its causes say it too", async () => {
	const { err } = await run(["check", join(directory, "missing.toml")]);
	expect(err.match(/ENOENT/g)).toHaveLength(1);
	expect(err.split("\n")).toHaveLength(1);
});

test("--dial starts each enabled target and says which one does not answer", async () => {
	const text = `[notification]
start_timeout_ms = 2000
[notification.local]
[notification.nats]
servers = ["nats://127.0.0.1:9"]
connect_timeout_ms = 500
[notification.redis]
enabled = false
url = "redis://127.0.0.1:9"
[notification.registry]
store = "nats"
`;
	const { code, out, err } = await run(["check", file("dial.toml", text), "--dial"]);
	expect(code).toBe(3);
	expect(out.filter((line) => /: started in \d+ ms$/.test(line)).map((line) => line.split(":")[0])).toEqual(["local"]);
	expect(err).toMatch(/^nats: /);
	expect(err).not.toMatch(/redis/);
});

test("--dial leaves the files of the process that runs alone", async () => {
	const [outbox, log] = [join(directory, "outbox.db"), join(directory, "log.db")];
	const text = `[notification.local]\nfile = '${log}'\n[notification.outbox]\nfile = '${outbox}'\n`;
	expect((await run(["check", file("files.toml", text), "--dial"])).code).toBe(0);
	expect([outbox, log].filter((path) => existsSync(path))).toEqual([]);
});
