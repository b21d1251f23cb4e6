import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { doctor } from "../../support/doctor.ts";

const directory = mkdtempSync(join(tmpdir(), "fanout-doctor-unit-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const path = (name: string) => join(directory, name);

test("a file that cannot be parsed, or has problems, fails with each of them, and no secret of it", async () => {
	const broken = await doctor("[notification\n");
	expect([broken.code, broken.failed.length]).toEqual([1, 1]);
	expect(broken.failed[0]).toMatch(/^configuration: .*fanout\.toml:1/);
	const wrong = await doctor('[notification.locl]\n[notification.nats]\nservers = ["nats://ann:s3cret@nats-1:4222"]\n');
	expect([wrong.code, wrong.failed.length > 1]).toEqual([1, true]);
	expect(wrong.failed.join("\n")).toMatch(/notification\.locl: is not a known key/);
	expect(wrong.out.join("\n")).not.toContain("s3cret");
	expect((await doctor(undefined, { FANOUT_CONFIG: path("missing.toml") })).failed).toEqual([
		expect.stringMatching(/^configuration: .*missing\.toml: file: cannot be read/),
	]);
	expect((await doctor("", {}, "--round")).code).toBe(2);
});

test("a configuration of one process is the answer to why nobody else hears, and a round trip in it is heard", async () => {
	const { code, out, warned } = await doctor(undefined, { FANOUT_CLUSTER_ID: "blue" }, "--round-trip");
	expect([code, warned]).toEqual([0, ["routing: no enabled transport reaches another process"]]);
	expect(out).toEqual([
		"ok   configuration: no file, so by the environment's variables",
		"ok   routing: cluster_id is blue: only processes of the same one hear each other",
		"warn routing: no enabled transport reaches another process -> enable nats, redis or aws",
		"ok   local: in this process's memory, at most 100000 events; lost with it",
		expect.stringMatching(
			/^ok {3}local: round trip: accepted after [\d.]+ ms \(process, memory\), heard after [\d.]+ ms$/,
		),
		"ok   registry: sessions are kept in the memory of each process",
	]);
});

test("rules that keep a message in this process, or are never reached, are warned of", async () => {
	const rule = (condition: string, target: string) =>
		`[[notification.routing.rules]]\ncondition = ${condition}\ntargets = ["${target}"]\n`;
	const text = `[notification]\nstart_timeout_ms = 300\n[notification.local]\n[notification.nats]\nservers = ["nats://127.0.0.1:9"]
${rule('{ session_pattern = "session-*" }', "nats")}${rule('"always"', "local")}${rule('{ type = "x" }', "redis")}`;
	const { code, warned, failed } = await doctor(text.replace("[[", "[notification.redis]\nenabled = false\n[["));
	expect([code, failed.length > 0]).toEqual([1, true]);
	expect(warned).toEqual([
		"routing: a notifications/message to everyone goes to local alone: no other process hears it",
		"routing: rule 3 is never reached: rule 2 decides all that it means",
		"routing: rule 3 skips redis: not enabled",
	]);
});

test("files are looked at where a process would keep them, and neither made nor opened", async () => {
	const text = (log: string, outbox: string) =>
		`[notification.local]\nfile = '${log}'\n[notification.outbox]\nfile = '${outbox}'\n`;
	const fine = await doctor(text(path("log.db"), path("outbox.db")));
	expect([fine.code, fine.failed]).toEqual([0, []]);
	expect(fine.out).toContain(`ok   outbox: outbox.file: ${path("outbox.db")} can be written`);
	expect([path("log.db"), path("outbox.db")].filter((one) => existsSync(one))).toEqual([]);
	writeFileSync(path("other"), "not a database, whatever it is");
	const wrong = await doctor(text(path("other"), path("none/outbox.db")));
	expect([wrong.code, wrong.failed]).toEqual([
		1,
		[
			`local: local.file: ${path("other")} is no SQLite database`,
			expect.stringMatching(/^outbox: outbox\.file: .*outbox\.db cannot be written: ENOENT/),
		],
	]);
	expect((await doctor(text(directory, path("outbox.db")))).failed).toEqual([
		`local: local.file: ${directory} is no file`,
	]);
});
