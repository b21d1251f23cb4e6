/** `fanout doctor` before real nats-servers: a fleet that is well, and what keeps one from hearing. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFanout, type FanoutOptions } from "mcp-fanout";
import { afterEach, expect, test, vi } from "vitest";
import { doctor } from "../support/doctor.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import { freePort } from "../support/ports.ts";

vi.setConfig({ testTimeout: 120_000 });
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
	for (const stop of open.splice(0).reverse()) await stop();
});

async function servers(size: 1 | 3 = 1, extra: readonly string[] = []): Promise<NatsServers> {
	const started = await startNatsServers(size, extra);
	open.push(() => started.stop());
	return started;
}

async function fleet(options: FanoutOptions): Promise<void> {
	const fanout = await createFanout({ registry: { timeoutMs: 20_000 }, startTimeoutMs: 20_000, ...options });
	open.push(() => fanout.close());
	await fanout.sessions.registry();
}

// The deadlines are for what never comes, not for a busy machine.
const fileOf = (urls: readonly string[], more = "") => `
[notification]
start_timeout_ms = 20000
timeout_ms = 20000
[notification.registry]
timeout_ms = 20000
[notification.nats]
servers = ${JSON.stringify(urls)}
partitions = 2
request_timeout_ms = 5000
${more}`;

const about = (out: readonly string[], subject: string) =>
	out.flatMap((line) => (line.slice(5).startsWith(`${subject}: `) ? [line.slice(5 + subject.length + 2)] : []));

test("a fleet that is well, and a message that is heard when one is asked for", async () => {
	const { urls } = await servers();
	await fleet({ nats: { servers: urls, partitions: 2 } });
	const quiet = await doctor(fileOf(urls));
	expect(quiet).toMatchObject({ code: 0, failed: [], warned: [] });
	expect(about(quiet.out, "nats")).toEqual([
		expect.stringMatching(/^nats:\/\/127\.0\.0\.1:\d+: logged in after \d+ ms; nats-server \d+\.\d+\.\d+ n1$/),
		"2 streams, file storage, replicas: 1, led by n1",
	]);
	expect(about(quiet.out, "registry")).toEqual([expect.stringMatching(/^sessions in nats: read after \d+ ms$/)]);
	const heard = await doctor(fileOf(urls), {}, "--round-trip");
	expect(heard).toMatchObject({ code: 0, failed: [], warned: [] });
	expect(about(heard.out, "nats").at(-1)).toMatch(
		/^round trip: accepted after [\d.]+ ms \(fleet, disk\), heard after [\d.]+ ms$/,
	);
});

test("before a server has started it says what is not there, and makes none of it", async () => {
	const { urls, nodes } = await servers();
	const { code, warned, out } = await doctor(fileOf(urls));
	expect([code, warned]).toEqual([0, ["nats: 2 of 2 streams are not there: fanout-0, fanout-1"]]);
	expect(about(out, "registry")).toEqual([
		"sessions in nats: there is no bucket fanout-sessions yet; the first use makes it",
	]);
	expect(await nodes[0]?.monitor("/jsz")).toMatchObject({ streams: 0, consumers: 0 });
});

test("streams of another number of partitions are told as a start tells them", async () => {
	const { urls } = await servers();
	await fleet({ nats: { servers: urls, partitions: 4, maxAgeMs: 60_000 } });
	const { code, failed } = await doctor(fileOf(urls));
	expect([code, failed.length]).toEqual([1, 1]);
	expect(failed[0]).toMatch(
		/^nats: 2 streams have other settings \(fanout-0, fanout-1\): .*max_age is 60000000000, not /,
	);
	expect(failed[0]).toContain('metadata.mcp-fanout-partitions is "4", not "2"');
});

test("nothing that listens, one of two that does, and a server that says nothing", async () => {
	const away = `nats://127.0.0.1:${await freePort()}`;
	const none = await doctor(fileOf([away]));
	expect(none.code).toBe(1);
	expect(none.failed.map((line) => line.split(":")[0])).toEqual(["nats", "registry"]);
	expect(none.failed[0]).toContain(away);
	const { urls, nodes } = await servers();
	await fleet({ nats: { servers: urls, partitions: 2 } });
	const one = await doctor(fileOf([away, ...urls]));
	expect([one.code, one.warned]).toEqual([0, [expect.stringContaining(away)]]);
	nodes[0]?.freeze();
	try {
		const frozen = await doctor(fileOf(urls, "connect_timeout_ms = 500\n"));
		expect(frozen.code).toBe(1);
		expect(frozen.failed[0]).toMatch(/^nats: .* within 500 ms/);
	} finally {
		nodes[0]?.thaw();
	}
});

test("[P10] a wrong login is told as such, and no secret with it", async () => {
	const { urls } = await servers(1, ["--user", "fleet", "--pass", "right-s3cret"]);
	const at = urls[0]?.replace("nats://", "") ?? "";
	const environment = { FANOUT_NATS_USER: "fleet", FANOUT_NATS_PASSWORD: "wrong-s3cret" };
	const wrong = await doctor(fileOf(urls), environment);
	expect(wrong.code).toBe(1);
	expect(wrong.out.join("\n")).toMatch(/fail nats: .*Authorization.* -> check user and password/i);
	// In an address, where a login may hold anything.
	for (const password of ["wrong-s3cret", "wrong@s3cret"]) {
		const named = await doctor(fileOf(urls), { FANOUT_NATS_SERVERS: `nats://fleet:${password}@${at}` });
		expect(named.code).toBe(1);
		expect(named.out.join("\n")).not.toContain("s3cret");
	}
	expect(wrong.out.join("\n")).not.toContain("s3cret");
	const right = await doctor(fileOf(urls), { FANOUT_NATS_USER: "fleet", FANOUT_NATS_PASSWORD: "right-s3cret" });
	expect(right).toMatchObject({ code: 0, failed: [] });
	expect(right.out.join("\n")).not.toContain("s3cret");
});

test("servers that are not one cluster do not hear each other", async () => {
	const [one, other] = [await servers(), await servers()];
	const urls = [...one.urls, ...other.urls];
	const { code, failed } = await doctor(fileOf(urls));
	expect(code).toBe(1);
	expect(failed).toEqual([`nats: ${other.urls[0]} do not hear what is published at ${one.urls[0]}`]);
});

test("what a user may not do is told, but not that it may not speak to inboxes, which no server needs", async () => {
	const directory = await mkdtemp(join(tmpdir(), "fanout-doctor-rights-"));
	open.push(() => rm(directory, { recursive: true, force: true }));
	const users = `
		{ user: quiet, password: s3cret, permissions { publish { deny: ["_INBOX.>"] } } }
		{ user: deaf, password: s3cret, permissions { subscribe { deny: ["fanout-live.>"] } } }
		{ user: dumb, password: s3cret, permissions { publish { deny: ["$JS.API.>"] } } }`;
	const conf = join(directory, "server.conf");
	await writeFile(conf, `accounts { fleet { jetstream: enabled, users: [${users}] } }`);
	const [one, other] = [await servers(1, ["--config", conf]), await servers(1, ["--config", conf])];
	await fleet({ nats: { servers: one.urls, user: "quiet", password: "s3cret", partitions: 2 } });
	const as = (urls: readonly string[], user: string) =>
		doctor(fileOf(urls, `user = "${user}"\n`), { FANOUT_NATS_PASSWORD: "s3cret" });
	expect(await as([...one.urls, ...other.urls], "quiet")).toMatchObject({ code: 0, failed: [] });
	expect((await as(one.urls, "deaf")).failed.join("\n")).toContain(
		'Permissions Violation for Subscription to "fanout-live.',
	);
	const dumb = (await as(one.urls, "dumb")).failed.join("\n");
	expect(dumb).toMatch(/Permissions Violation for Publish to "\$JS\.API\.STREAM\.INFO\.fanout-[01]"/);
	expect(dumb).not.toContain("s3cret");
});

test("a server without JetStream", async () => {
	const { urls } = await servers(1, ["--js=false"]);
	const { code, failed } = await doctor(fileOf(urls));
	expect(code).toBe(1);
	expect(failed[0]).toMatch(/^nats: no answer of fanout-0, fanout-1: .*without JetStream$/);
	const core = await doctor(fileOf(urls, "use_jetstream = false\n"), {}, "--round-trip");
	expect(core).toMatchObject({
		code: 0,
		failed: [],
		warned: [expect.stringMatching(/^registry: no store for sessions/)],
	});
	expect(about(core.out, "nats").at(-1)).toMatch(/^round trip: .* heard after /);
});

test("a cluster: its leaders, and then a server and its replicas that are away", async () => {
	const { urls, nodes } = await servers(3);
	const more = "replicas = 3\n";
	await fleet({ nats: { servers: urls, partitions: 2, replicas: 3 } });
	const well = await doctor(fileOf(urls, more));
	expect(well).toMatchObject({ code: 0, failed: [], warned: [] });
	expect(about(well.out, "nats").at(-1)).toMatch(/^2 streams, file storage, replicas: 3, led by n\d/);
	await nodes[2]?.kill();
	await expect
		.poll(async () => (await doctor(fileOf(urls, more))).warned.join("\n"))
		.toMatch(/could not connect to nats:\/\/127\.0\.0\.1:\d+ [\s\S]*replicas are behind or away: fanout-\d at n3/);
});
