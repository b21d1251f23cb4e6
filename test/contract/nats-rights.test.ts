/** What a nats-server does not allow: a user without some right, an account without JetStream, payloads of a server. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { type NatsNode, type NatsServers, startNatsServers } from "../support/nats.ts";
import { envelopeOf, type Instance, startInstance, topic } from "../support/nats-fleet.ts";

const LATE = { timeout: 20_000, interval: 20 };
const RIGHTS = `
accounts {
	fleet {
		jetstream: enabled
		users: [
			{ user: all, password: s3cret }
			{ user: deaf, password: s3cret, permissions { subscribe { deny: ["fanout-live.>"] } } }
			{ user: dumb, password: s3cret, permissions { publish { deny: ["$JS.API.>", "fanout-live.>"] } } }
		]
	}
	plain { users: [{ user: plain, password: s3cret }] }
}
`;
const open: Instance[] = [];
let dir: string;
let conf: string;
let servers: NatsServers;

beforeAll(async () => {
	dir = await mkdtemp(join(tmpdir(), "mcp-fanout-nats-rights-"));
	conf = join(dir, "server.conf");
	await writeFile(conf, RIGHTS);
	servers = await startNatsServers(1, ["--config", conf]);
});
afterEach(async () => {
	for (const instance of open.splice(0)) await instance.close();
});
afterAll(async () => {
	await servers?.stop();
	await rm(dir, { recursive: true, force: true });
});

const as = (user: string): NatsOptions => ({ servers: servers.urls, user, password: "s3cret", partitions: 2 });

async function instance(user: string, more: NatsOptions = {}): Promise<Instance> {
	const started = await startInstance({ ...as(user), ...more }, 2_000);
	open.push(started);
	return started;
}

test("[P7] a login in the addresses of the servers is the login", async () => {
	const addresses = servers.urls.map((url) => url.replace("://", "://all:s3cret@"));
	const started = await startInstance({ servers: addresses, partitions: 2 }, 2_000);
	open.push(started);
	const stream = await started.open(topic("login"));
	await started.publish(topic("login"), 1);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1]), LATE);
});

test("[P7] what is addressed by tls:// is not spoken to in plain text", async () => {
	const addresses = servers.urls.map((url) => url.replace("nats://", "tls://all:s3cret@"));
	await expect(startInstance({ servers: addresses, partitions: 2 }, 2_000)).rejects.toThrow(/does not support 'tls'/);
});

test("[P3] [P7] who may not hear live copies is told so, and gets all by checks of ends", async () => {
	const [all, deaf] = [await instance("all"), await instance("deaf")];
	const stream = await deaf.open(topic("news"));
	for (const n of [1, 2]) await all.publish(topic("news"), n);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2]), LATE);
	expect(stream.marks).toEqual([]);
	expect(deaf.errors.map((event) => String((event as { error: Error }).error.message))).toContainEqual(
		expect.stringContaining('Permissions Violation for Subscription to "fanout-live.'),
	);
});

test.each([
	["dumb", /took longer than 1500 ms: .*Permissions Violation for Publish to "\$JS\.API\.STREAM\.INFO\.fanout-0"/],
	["plain", /took longer than 1500 ms: JetStream is not ready at 127\.0\.0\.1:\d+.*not enabled for account/],
])("[P7] a start that %s may not make says why", async (user, why) => {
	const starting = createFanout({ nats: as(user), startTimeoutMs: 1_500, onerror: () => {} });
	await expect(starting).rejects.toThrow(why);
	await expect(starting).rejects.not.toThrow("s3cret");
});

test("[P1] [P3] without a log, what may not be sent is not accepted, and what may not be heard is not followed", async () => {
	const core = { jetstream: false } as const;
	const dumb = await instance("dumb", core);
	expect(await dumb.publish(topic("news"), 1)).toMatchObject({ ok: false, error: { code: "TransportRefused" } });
	const deaf = await instance("deaf", core);
	const subscriber = { entry() {}, suspect() {}, ended() {} };
	await expect(deaf.transport.subscribe(topic("news"), subscriber).ready).rejects.toThrow(/Permissions Violation/);
	const all = await instance("all", core);
	expect(await all.publish(topic("news"), 1)).toMatchObject({ ok: true });
});

test("[P3] without a log, a stream whose channel may not be heard any longer is ended, and not left to hear nothing", async () => {
	const all = await instance("all", { jetstream: false });
	const stream = await all.open(topic("news"));
	const [node] = servers.nodes as [NatsNode];
	await node.kill();
	await writeFile(
		conf,
		RIGHTS.replace(
			"user: all, password: s3cret",
			'user: all, password: s3cret, permissions { subscribe { deny: ["fanout-live.>"] } }',
		),
	);
	await node.start();
	try {
		await vi.waitFor(() => expect(stream.marks.at(-1)).toBe("gap"), LATE);
	} finally {
		await node.kill();
		await writeFile(conf, RIGHTS);
		await node.start();
	}
	// Who comes back hears it again as soon as that is allowed.
	const again = await all.open(topic("news"));
	await all.publish(topic("news"), 1);
	await vi.waitFor(() => expect(again.numbers).toEqual([1]), LATE);
});

test("[P6] [P7] what a server does not take that came later is refused at once, and the next one is taken", async () => {
	const sender = await instance("all");
	const [node] = servers.nodes as [NatsNode];
	await node.kill();
	await writeFile(conf, `max_payload: 16384\n${RIGHTS}`);
	await node.start();
	await vi.waitFor(async () => expect(await sender.publish(topic("large"), 1)).toMatchObject({ ok: true }), LATE);
	const message = { jsonrpc: "2.0", method: "notifications/test", params: { text: "x".repeat(20_000) } } as const;
	const outcome = await sender.publisher.publish({ ...envelopeOf(topic("large"), 2), message });
	expect(outcome).toMatchObject({ ok: false, uncertain: false, error: { code: "PayloadTooLarge", retryable: false } });
	expect(await sender.publish(topic("large"), 3)).toMatchObject({ ok: true });
});
