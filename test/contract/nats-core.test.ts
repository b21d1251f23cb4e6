/** Core NATS without JetStream: what its capabilities still promise, on a real server, with every way to log in. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nkeys } from "@nats-io/nats-core";
import { connect } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import { envelopeOf, type Instance, startInstance, topic } from "../support/nats-fleet.ts";

let servers: NatsServers;
const open: (() => Promise<void>)[] = [];
const never = new AbortController().signal;
const LATE = { timeout: 8_000, interval: 20 };
const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

beforeAll(async () => {
	servers = await startNatsServers();
});
afterAll(() => servers?.stop());
afterEach(async () => {
	for (const close of open.splice(0).reverse()) await close();
});

async function instance(options: NatsOptions = {}): Promise<Instance> {
	const started = await startInstance({ servers: servers.urls, jetstream: false, ...options });
	open.push(() => started.close());
	return started;
}

test("[P1] its capabilities say what there is: no replay, no deduplication, no position", async () => {
	const { transport } = await instance();
	const { replay, dedupMs, retentionMs, endCheckMs, positionAtAccept, reach } = transport.capabilities;
	expect({ replay, dedupMs, retentionMs, endCheckMs, positionAtAccept, reach }).toEqual({
		...{ replay: false, dedupMs: 0, retentionMs: 0, endCheckMs: 0, positionAtAccept: false, reach: "fleet" },
	});
	const outcomes = await transport.publish(topic("a"), [envelopeOf(topic("a"), 1)], { mayExist: false }, never);
	expect(outcomes).toEqual([{ ok: true, duplicate: false, durability: "memory", reach: "fleet" }]);
});

test("[P2] [P3] [P5] streams of other instances hear their own channel, in order, whatever ids mean to NATS", async () => {
	const [publisher, follower] = [await instance(), await instance()];
	const channels = ["a", "*", ">", "a.b", "a.>", " ", "\r\n", "日本語"].map((id) => topic(id));
	const streams = await Promise.all(channels.map((channel) => follower.open(channel)));
	await Promise.all(
		channels.flatMap((channel, index) => upTo(50).map((n) => publisher.publish(channel, index * 100 + n))),
	);
	for (const [index, { numbers, marks }] of streams.entries()) {
		await vi.waitFor(() => expect(numbers).toEqual(upTo(50).map((n) => index * 100 + n)), LATE);
		expect(marks).toEqual([]);
	}
});

test("[P3] a lost connection is told as `epoch`, for something may have passed; then the stream goes on", async () => {
	const connection = await connect({ servers: servers.urls, maxReconnectAttempts: -1, reconnectTimeWait: 20 });
	open.push(() => connection.close());
	const [publisher, follower] = [await instance(), await instance({ connection })];
	const stream = await follower.open(topic("a"));
	await publisher.publish(topic("a"), 1);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1]), LATE);
	await connection.reconnect();
	await vi.waitFor(() => expect(stream.marks).toEqual(["epoch"]), LATE);
	await publisher.publish(topic("a"), 2);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2]), LATE);
	const resumed = await follower.open(topic("a"), stream.cursor);
	const before = stream.cursor;
	await publisher.publish(topic("a"), 3);
	await vi.waitFor(() => expect(resumed.numbers).toEqual([3]), LATE);
	const elsewhere = await publisher.open(topic("a"), before);
	await vi.waitFor(() => expect(elsewhere.marks).toHaveLength(1), LATE);
});

test("[P5] token, user and password, and nkey: the right one starts, a wrong one is refused without being shown", async () => {
	const key = nkeys.createUser();
	const seed = new TextDecoder().decode(key.getSeed());
	const stranger = new TextDecoder().decode(nkeys.createUser().getSeed());
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-auth-"));
	const file = async (name: string, text: string) => {
		await writeFile(join(dir, name), text);
		return ["--config", join(dir, name)];
	};
	open.push(() => rm(dir, { recursive: true, force: true }));
	const ways: readonly { args: string[]; right: NatsOptions; wrong: NatsOptions }[] = [
		{
			args: await file("token.conf", 'authorization { token: "right-token" }'),
			right: { token: "right-token" },
			wrong: { token: "wrong-secret" },
		},
		{
			args: await file("user.conf", 'authorization { user: "me", password: "right-password" }'),
			right: { user: "me", password: "right-password" },
			wrong: { user: "me", password: "wrong-secret" },
		},
		{
			args: await file("nkey.conf", `authorization { users = [ { nkey: ${key.getPublicKey()} } ] }`),
			right: { nkey: seed },
			wrong: { nkey: stranger },
		},
	];
	for (const { args, right, wrong } of ways) {
		const secured = await startNatsServers(1, args);
		open.push(() => secured.stop());
		const started = await instance({ servers: secured.urls, ...right });
		expect(await started.publish(topic("a"), 1)).toMatchObject({ ok: true });
		const failed = instance({ servers: secured.urls, connectTimeoutMs: 2_000, ...wrong });
		await expect(failed).rejects.toMatchObject({ code: "TransportUnavailable" });
		await expect(failed).rejects.not.toThrow(new RegExp(`wrong-secret|${stranger}`));
	}
});
