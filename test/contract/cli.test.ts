import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { main } from "../../cli/main.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/index.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";

let servers: NatsServers;
let running: Fanout;
const directory = mkdtempSync(join(tmpdir(), "fanout-cli-"));
const file = join(directory, "fanout.toml");

beforeAll(async () => {
	servers = await startNatsServers(1);
	const list = servers.urls.map((url) => `"${url}"`).join(", ");
	writeFileSync(file, `[notification]\n[notification.nats]\nservers = [${list}]\nstorage = "memory"\n`);
	running = await createFanout({ config: file });
});
afterAll(async () => {
	await running.close();
	await servers.stop();
	rmSync(directory, { recursive: true, force: true });
});

function start(...args: string[]) {
	const out: string[] = [];
	const err: string[] = [];
	const interrupt = new AbortController();
	const output = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
	const code = main(args, { FANOUT_CONFIG: file }, output, interrupt.signal);
	return { out, err, code, interrupt: () => interrupt.abort() };
}

const message = (n: number) => ({ method: "notifications/message", params: { level: "info", data: n } });
const numberOf = (line: string) =>
	(JSON.parse(line) as { message?: { params: { data: number } } }).message?.params.data;

test("what a running process publishes is printed by tail, and what send publishes is heard, each by its channel", async () => {
	const tail = start("tail", "--topic", "news", "--count", "3", "--method", "notifications/message");
	// Until it hears: what is published before is not for it.
	await expect
		.poll(async () => {
			await running.to({ topic: "news" }).send(message(1));
			return tail.out.length;
		})
		.toBeGreaterThan(0);
	await running.to({ topic: "other" }).send(message(9));
	await running.to({ topic: "news" }).notify.toolsChanged();
	const sent = start(
		"send",
		"--topic",
		"news",
		"--method",
		"notifications/message",
		"--params",
		'{"level":"info","data":2}',
	);
	expect(await sent.code).toBe(0);
	const receipt = JSON.parse(sent.out.join(""));
	expect(receipt).toMatchObject({
		channel: "default/default/topic:news",
		accepted: [{ lane: "nats", reach: "fleet" }],
	});
	await running.to({ topic: "news" }).send(message(3));
	await running.to({ topic: "news" }).send(message(3));
	expect(await tail.code).toBe(0);
	expect(tail.out).toHaveLength(3);
	expect(new Set(tail.out.map(numberOf))).not.toContain(9);
	expect([...tail.err, ...sent.err]).toEqual([]);
});

test("an interruption ends it, also one that comes while it opens", async () => {
	const early = start("tail", "--session", "s1");
	early.interrupt();
	expect(await early.code).toBe(0);
	expect(early.out.map(numberOf).filter((n) => n !== undefined)).toEqual([]);
	const late = start("tail", "--session", "s1");
	await expect
		.poll(async () => {
			await running.to({ session: "s1" }).send(message(1));
			return late.out.length;
		})
		.toBeGreaterThan(0);
	late.interrupt();
	expect(await late.code).toBe(0);
	expect(new Set(late.out.slice(0, -1).map(numberOf))).toEqual(new Set([1]));
	expect(JSON.parse(late.out.at(-1) ?? "")).toEqual({ end: "closed" });
});

test("a tail whose output nobody reads any more ends, as behind `| head`", async () => {
	const entry = join(import.meta.dirname, "../../cli/fanout.ts");
	const args = ["--conditions=mcp-fanout-source", entry, "tail", "--config", file, "--topic", "piped"];
	const tail = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
	const ended = once(tail, "exit");
	const publishing = setInterval(() => void running.to({ topic: "piped" }).send(message(1)), 50);
	try {
		await once(tail.stdout, "data");
		tail.stdout.destroy();
		expect(await ended).toEqual([0, null]);
	} finally {
		clearInterval(publishing);
		tail.kill("SIGKILL");
	}
});

test("a broker that is away is told with its address, by both, with exit code 3", async () => {
	const away = join(directory, "away.toml");
	writeFileSync(
		away,
		'[notification]\nstart_timeout_ms = 1000\n[notification.nats]\nservers = ["nats://127.0.0.1:9"]\n',
	);
	for (const args of [
		["tail", away, "--all"],
		["send", away, "--all", "--method", "notifications/message"],
	]) {
		const run = start(...args);
		expect(await run.code, args[0]).toBe(3);
		expect(run.err.join("\n")).toContain("127.0.0.1:9");
		expect(run.out).toEqual([]);
	}
});
