import { type ChildProcess, spawn } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import type { FanoutEvents } from "../../lambda/layer/src/observe/events.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";
import { ROOT } from "../support/root.ts";
import { follow } from "./mcp/session/raw.ts";

let directory: string;
let file: string;
let events: FanoutEvents["reload"][];
const open: Fanout[] = [];
const children: ChildProcess[] = [];
const heard = (event: unknown) => void events.push(event as FanoutEvents["reload"]);

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "fanout reload-"));
	file = join(directory, "fanout.toml");
	events = [];
	subscribe("mcp-fanout:reload", heard);
});
afterEach(async () => {
	unsubscribe("mcp-fanout:reload", heard);
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
	for (const child of children.splice(0)) child.kill("SIGKILL");
	rmSync(directory, { recursive: true, force: true });
});

const write = (lines: readonly string[]) => writeFileSync(file, ["[notification]", ...lines, ""].join("\n"));
/** A file renamed over the old one, as editors and deployment tools write. */
function replace(lines: readonly string[]): void {
	writeFileSync(`${file}.new`, ["[notification]", ...lines, ""].join("\n"));
	renameSync(`${file}.new`, file);
}

async function start(lines: readonly string[], more: Parameters<typeof createFanout>[0] = {}): Promise<Fanout> {
	write(lines);
	const fanout = await createFanout({ config: file, reload: { watch: false }, ...more });
	open.push(fanout);
	return fanout;
}

const refusals = (fanout: Fanout, count: number) => {
	const streams = Array.from({ length: count }, () => fanout.response(new Request("http://localhost/")));
	return streams.filter(({ status }) => status >= 400).length;
};

test("what the file says is put in force; what it says again changes nothing", async () => {
	const fanout = await start(["[notification.local]", "max_sessions_per_instance = 1"]);
	expect(refusals(fanout, 2)).toBe(1);
	expect(await fanout.reload()).toEqual({ changed: false, added: [], removed: [], replaced: [] });
	write(["timeout_ms = 99", "[notification.local]", "max_sessions_per_instance = 3"]);
	expect(await fanout.reload()).toEqual({ changed: true, added: [], removed: [], replaced: [] });
	expect(refusals(fanout, 3)).toBe(1);
	expect(events.map(({ outcome }) => outcome)).toEqual(["unchanged", "changed"]);
});

test("[P7] an invalid file is refused with every problem at its place, and the old one stays", async () => {
	const told: string[] = [];
	const fanout = await start(["[notification.local]", "max_sessions_per_instance = 1"], {
		onerror: (error) => told.push(error.message),
	});
	write(["timeout_ms = -1", "[notification.local]", "max_sesions_per_instance = 5"]);
	await expect(fanout.reload()).rejects.toMatchObject({
		code: "ConfigInvalid",
		data: {
			problems: [
				{ file, line: 2, key: "notification.timeout_ms" },
				{ file, line: 4, key: "notification.local.max_sesions_per_instance", nearest: "max_sessions_per_instance" },
			],
		},
	});
	writeFileSync(file, "[notification\n");
	await expect(fanout.reload()).rejects.toMatchObject({
		code: "ConfigInvalid",
		data: { problems: [{ file, line: 1 }] },
	});
	rmSync(file);
	await expect(fanout.reload()).rejects.toMatchObject({ code: "ConfigInvalid" });
	expect(refusals(fanout, 2)).toBe(1);
	expect((await fanout.notify.toolsChanged()).accepted).toHaveLength(1);
	expect(events.map(({ outcome, error }) => [outcome, error?.code])).toEqual(
		[1, 2, 3].map(() => ["refused", "ConfigInvalid"]),
	);
	// Whoever asked was told.
	expect(told).toEqual([]);
});

test.each([
	[["cluster_id = 'another'", "[notification.local]"], "notification.cluster_id", 2],
	[["follow = false", "[notification.local]"], "notification.follow", 2],
	[["[notification.local]", "max_events = 10"], "notification.local.max_events", 3],
	[["[notification.local]", "", "file = 'other.db'"], "notification.local.file", 4],
	[["[notification.nats]", "cluster_id = 'x'", "servers = ['127.0.0.1:1']"], "notification.nats.cluster_id", 3],
])("what cannot change while the process runs is refused at its key: %o", async (lines, key, line) => {
	const fanout = await start(["[notification.local]"]);
	write(lines);
	await expect(fanout.reload()).rejects.toMatchObject({
		code: "ConfigInvalid",
		message: expect.stringContaining("cannot change while the process runs"),
		data: { problems: [{ file, line, key }] },
	});
	expect(fanout.health().transports).toHaveLength(1);
});

test("[P7] a transport that is added and does not start refuses the reload; what runs goes on, and nothing of it stays", async () => {
	const fanout = await start(["start_timeout_ms = 500", "[notification.local]"]);
	write(["start_timeout_ms = 500", "[notification.local]", "[notification.nats]", "servers = ['127.0.0.1:1']"]);
	await expect(fanout.reload()).rejects.toMatchObject({ code: "TransportUnavailable" });
	expect(fanout.health().transports).toEqual([expect.stringMatching(/^local\//)]);
	expect((await fanout.notify.toolsChanged()).accepted).toMatchObject([{ lane: "local" }]);
});

test("[P3] a transport that is removed ends its client streams with gap; those that are left go on for who comes back", async () => {
	const transports = [createFakeTransport(new FakeBroker(createRandom(1).next), { name: "wide" })];
	const alone = ["[notification.local]", "[[notification.routing.rules]]", "targets = ['local']"];
	const fanout = await start([...alone, "condition = { type = 'local/*' }"], { transports });
	const { body } = fanout.response(new Request("http://localhost/"), { session: "s" });
	const reader = (body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader();
	await reader.read();
	write([]);
	// A file without tables enables nothing: what the caller gave beside it is left.
	expect(await fanout.reload()).toEqual({ changed: true, added: [], removed: ["local"], replaced: [] });
	let text = "";
	for (;;) {
		const { value, done } = (await reader.read()) as { value?: string; done: boolean };
		if (done) break;
		text += value;
	}
	expect(text).toContain("event: end");
	expect(text).toContain("gap");
	expect(fanout.health().transports).toEqual(["wide/broker"]);
	expect((await fanout.notify.toolsChanged()).accepted).toMatchObject([{ lane: "wide" }]);
	write(["[notification.local]"]);
	expect(await fanout.reload()).toMatchObject({ added: ["local"] });
	expect(fanout.health().targets.map(({ lane }) => lane)).toEqual(["local", "wide"]);
});

test("[P3] a log of this process is followed from the moment on that a rule names it alone; one that none names goes unnoticed", async () => {
	const transports = [createFakeTransport(new FakeBroker(createRandom(1).next), { name: "wide" })];
	const fanout = await start(["[notification.local]"], { transports });
	const stream = follow(fanout.response(new Request("http://localhost/"), { session: "s" }));
	await expect.poll(() => stream.frames.length).toBe(1);
	write([]);
	expect(await fanout.reload()).toMatchObject({ removed: ["local"] });
	write(["[notification.local]"]);
	expect(await fanout.reload()).toMatchObject({ added: ["local"] });
	const rule = ["[[notification.routing.rules]]", "targets = ['local']", "condition = { type = 'local/*' }"];
	write(["[notification.local]", ...rule]);
	expect(await fanout.reload()).toEqual({ changed: true, added: [], removed: [], replaced: [] });
	const send = (method: string) => fanout.to({ session: "s" }).send({ method });
	expect((await send("local/a")).accepted).toMatchObject([{ lane: "local" }]);
	// Without the rule its lane is still followed: the stream has a position there.
	write(["[notification.local]"]);
	expect(await fanout.reload()).toMatchObject({ changed: true });
	expect((await send("local/b")).accepted).toMatchObject([{ lane: "wide" }]);
	await expect.poll(() => stream.messages.map(({ method }) => method)).toEqual(["local/a", "local/b"]);
	expect(stream.frames.filter(({ event }) => event === "mark" || event === "end")).toEqual([]);
});

test("without a file there is none to read again", async () => {
	const fanout = await createFanout({ local: {} });
	open.push(fanout);
	await expect(fanout.reload()).rejects.toMatchObject({ code: "Unsupported" });
	await fanout.close();
	const closed = await start(["[notification.local]"]);
	await closed.close();
	await expect(closed.reload()).rejects.toMatchObject({ code: "Closed" });
});

test("[P9] a file is watched through renames, rewrites and swapped symbolic links; a wrong one is told once; close leaves no watcher", async () => {
	const told: string[] = [];
	// As a Kubernetes ConfigMap is mounted: the file is a link into a directory that a link names.
	const mount = (name: string, lines: readonly string[]) => {
		mkdirSync(join(directory, name));
		writeFileSync(join(directory, name, "fanout.toml"), ["[notification]", ...lines, ""].join("\n"));
		symlinkSync(name, join(directory, "..data.new"));
		renameSync(join(directory, "..data.new"), join(directory, "..data"));
	};
	const local = (timeout: number) => [`timeout_ms = ${timeout}`, "[notification.local]"];
	mount("..v1", local(1));
	symlinkSync(join("..data", "fanout.toml"), file);
	const fanout = await createFanout({ config: file, onerror: (error) => told.push(error.message) });
	open.push(fanout);
	const next = async (outcome: string, count: number) => {
		await expect.poll(() => events.map((event) => event.outcome), { timeout: 10_000 }).toHaveLength(count);
		expect(events.at(-1)?.outcome).toBe(outcome);
	};
	mount("..v2", local(2));
	await next("changed", 1);
	writeFileSync(join(directory, "..v2", "fanout.toml"), "[notification]\ntimeout_ms = 'soon'\n");
	await next("refused", 2);
	expect(told).toEqual([expect.stringMatching(/fanout\.toml:2: notification\.timeout_ms: is not allowed/)]);
	replace(local(3));
	await next("changed", 3);
	await fanout.close();
	replace(local(4));
	await new Promise((resolve) => setTimeout(resolve, 2_500));
	expect(events).toHaveLength(3);
}, 60_000);

test("[P2] [P9] SIGHUP under load, in a process of its own: valid files are put in force, invalid ones refused, nothing is lost or reordered", async () => {
	const table = ["[notification.reload]", "watch = false", "on_sighup = true"];
	write(["[notification.local]", "max_sessions_per_instance = 10", ...table]);
	const args = ["--conditions=mcp-fanout-source", join(import.meta.dirname, "reloaded-process.ts"), file];
	const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
	children.push(child);
	const said: Record<string, unknown>[] = [];
	createInterface({ input: child.stdout }).on("line", (line) => said.push(JSON.parse(line)));
	const hears = (count: number) => expect.poll(() => said.length, { timeout: 20_000 }).toBe(count);
	await hears(1);
	expect(said[0]).toEqual({ ready: true, listeners: 1 });
	for (let round = 1; round <= 3; round += 1) {
		write([
			`timeout_ms = ${1_000 * round}`,
			"[notification.local]",
			`max_sessions_per_instance = ${10 + round}`,
			...table,
		]);
		child.kill("SIGHUP");
		await hears(1 + round);
	}
	write(["timeout_ms = 0"]);
	child.kill("SIGHUP");
	await hears(6);
	const exited = new Promise((resolve) => child.once("exit", resolve));
	child.stdin.write("end\n");
	await hears(7);
	expect(said.slice(1, 6).map(({ outcome, told }) => outcome ?? (told as string).replace(file, ""))).toEqual([
		"changed",
		"changed",
		"changed",
		"refused",
		expect.stringMatching(/^:2: notification\.timeout_ms: is not allowed/),
	]);
	const { sent, failed, got, inOrder, marks, streams, listeners } = said[6] as Record<string, number>;
	expect({ failed, got, inOrder, marks, streams, listeners }).toEqual({
		...{ failed: 0, got: sent, inOrder: true, marks: 0, streams: 1, listeners: 0 },
	});
	expect(sent).toBeGreaterThan(100);
	expect(await exited).toBe(0);
}, 60_000);
