/** Shards on real tables and a real FIFO queue: whom deliver leaves to them, and what their workers post. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { CONNECTION_SECONDS, SHARD_SECONDS } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { SHARDS, shardOf } from "../../lambda/layer/src/transports/aws/cell/shard.ts";
import { deliverShards } from "../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import { aws } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { createMailroom, Inboxes, mail, named, shardRecord } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, shardPortsOf, follow, deliverTo, followers } = createMailroom(() => world);
const asClient = (channel: Parameters<typeof follow>[0], seconds = CONNECTION_SECONDS) =>
	follow(channel, seconds, "client");

async function receive(WaitTimeSeconds: number) {
	const command = new aws.sqs.ReceiveMessageCommand({
		QueueUrl: world.urls.shards,
		WaitTimeSeconds,
		MessageSystemAttributeNames: ["All"],
		MessageAttributeNames: ["All"],
	});
	const message = (await world.clients.sqs().send(command)).Messages?.[0];
	if (message === undefined) return undefined;
	const { Body: body = "", ReceiptHandle: receipt = "", Attributes, MessageAttributes, MessageId = "" } = message;
	const group = Attributes?.MessageGroupId ?? "";
	return { messageId: MessageId, body, group, channel: MessageAttributes?.channel?.StringValue, receipt, receives: 1 };
}

const remove = ({ receipt }: { readonly receipt: string }) =>
	world.clients.sqs().send(new aws.sqs.DeleteMessageCommand({ QueueUrl: world.urls.shards, ReceiptHandle: receipt }));

describe("deliver", () => {
	it("leaves end clients of a topic and of all to their shards, and posts to everyone else itself", async () => {
		for (const kind of ["topic", "all", "principal", "session"] as const) {
			const channel = createChannel(kind, kind === "all" ? "" : randomUUID(), { tenant: randomUUID() });
			const [backend, one, two] = [await follow(channel), await asClient(channel), await asClient(channel)];
			const envelope = envelopeOf(channel);
			const inboxes = new Inboxes();
			const { sent, tally } = await deliverTo(inboxes, mail(channel, [envelope]));
			const isBroadcast = kind === "topic" || kind === "all";
			const occupied = isBroadcast ? new Set([shardOf(one), shardOf(two)]).size : 0;
			expect([sent.length, tally.sharded]).toEqual([occupied, occupied]);
			expect(inboxes.shown(backend)).toEqual([envelope.id]);
			for (const id of [one, two]) expect(inboxes.shown(id)).toEqual(isBroadcast ? [] : [envelope.id]);
			await deliverShards(
				shardPortsOf(inboxes),
				sent.map((message) => shardRecord(message)),
			);
			for (const id of [backend, one, two]) expect(inboxes.shown(id)).toEqual([envelope.id]);
		}
	});

	it("sends no message for a shard that nobody follows in, nor any longer when its last followers are long gone", async () => {
		const channel = freshChannel();
		const count = async () => (await deliverTo(new Inboxes(), mail(channel, [envelopeOf(channel)]))).sent.length;
		expect(await count()).toBe(0);
		await asClient(channel);
		expect(await count()).toBe(1);
		world.clock.advance(SHARD_SECONDS * 1000 + 1_000);
		expect(await count()).toBe(0);
		// A shard counts from an hour before it has to: the row that says so is not written at every subscribe.
		const id = await asClient(channel);
		expect(await count()).toBe(1);
		world.clock.advance((SHARD_SECONDS - CONNECTION_SECONDS) * 1000 + 2_000);
		await world.connections().follow({ id, api: "client", expiresAt: world.clock.now() / 1000 + 60 }, [channel.key]);
		const expiresAt = Math.floor(world.clock.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "client", expiresAt }, [channel.key]);
		world.clock.advance(CONNECTION_SECONDS * 1000 - 500);
		expect(await count()).toBe(1);
	});

	it("sends a message for each frame that its entries take, so that a worker posts one frame at a time", async () => {
		const channel = freshChannel();
		const id = await asClient(channel);
		const envelopes = Array.from({ length: 5 }, () => envelopeOf(channel, "y".repeat(50_000)));
		const inboxes = new Inboxes();
		const { sent } = await deliverTo(inboxes, mail(channel, envelopes));
		expect(sent).toHaveLength(3);
		for (const message of sent) {
			const { posts, failed } = await deliverShards(shardPortsOf(inboxes), [shardRecord(message)]);
			expect([posts, failed]).toEqual([1, []]);
		}
		expect(inboxes.shown(id)).toEqual(envelopes.map((envelope) => envelope.id));
	});

	it("puts its group back when the shards queue refuses, has posted nothing then, and sends the shard one message", async () => {
		const channel = freshChannel();
		const [backend, id] = [await follow(channel), await asClient(channel)];
		const inboxes = new Inboxes();
		const records = mail(channel, [envelopeOf(channel), envelopeOf(channel)]);
		const ports = { ...portsOf(inboxes), postpone: async () => {} };
		const refusing = { ...ports, sendShards: async () => [0] };
		expect((await deliver(refusing, records)).failed).toHaveLength(2);
		expect(inboxes.of(backend)).toEqual([]);
		// It dies after the queue took the message, and runs again.
		const dying = {
			...ports,
			sendShards: async (messages: Parameters<typeof ports.sendShards>[0]) => {
				await ports.sendShards(messages);
				throw named("Killed");
			},
		};
		expect((await deliver(dying, records)).failed).toHaveLength(2);
		expect(await deliver(ports, records)).toMatchObject({ failed: [], repeated: 2, sharded: 1 });
		const record = await receive(5);
		if (record === undefined) throw new Error("a message");
		expect(await deliverShards(shardPortsOf(inboxes), [record])).toMatchObject({ posts: 1, failed: [] });
		await remove(record);
		expect(await receive(1)).toBeUndefined();
		expect(inboxes.shown(id)).toHaveLength(2);
		expect(inboxes.shown(backend)).toHaveLength(2);
	});
});

describe("a shard's worker", () => {
	it("forgets who is gone, ends who only fails and who expired, with the reason, and serves the others", async () => {
		const channel = freshChannel();
		const expired = await asClient(channel, 30);
		world.clock.advance(31_000);
		const ids: string[] = [];
		// All in one shard, where they are judged against one another.
		while (ids.length < 6) {
			const id = randomUUID();
			if (shardOf(id) !== shardOf(expired)) continue;
			const expiresAt = Math.floor(world.clock.now() / 1000) + CONNECTION_SECONDS;
			await world.connections().open({ id, api: "client" });
			await world.connections().follow({ id, api: "client", expiresAt }, [channel.key]);
			ids.push(id);
		}
		const [gone, slow, ...here] = ids as [string, string, ...string[]];
		const inboxes = new Inboxes();
		inboxes.failing.set(gone, "GoneException");
		inboxes.failing.set(slow, "LimitExceededException");
		const envelope = envelopeOf(channel);
		const { sent } = await deliverTo(inboxes, mail(channel, [envelope]));
		const tally = await deliverShards(
			shardPortsOf(inboxes),
			sent.map((message) => shardRecord(message)),
		);
		expect(tally).toMatchObject({ failed: [], posts: 4, ended: 2, unposted: 0 });
		for (const id of here) expect(inboxes.shown(id)).toEqual([envelope.id]);
		expect(inboxes.of(slow)).toEqual([{ t: "end", reason: "slow-consumer" }]);
		expect(inboxes.of(expired)).toEqual([{ t: "end", reason: "expired" }]);
		expect(inboxes.closed.sort()).toEqual([slow, expired].sort());
		expect((await followers(channel)).sort()).toEqual([...here].sort());
	});

	it("posts what has come since while a frame has room, and passes over the messages that named it", async () => {
		const channel = freshChannel();
		const id = await asClient(channel);
		const inboxes = new Inboxes();
		const envelopes = Array.from({ length: 30 }, (_, n) => envelopeOf(channel, n));
		const sent = [];
		for (const envelope of envelopes) sent.push(...(await deliverTo(inboxes, mail(channel, [envelope]))).sent);
		expect(sent).toHaveLength(30);
		const tally = await deliverShards(
			shardPortsOf(inboxes),
			sent.map((message) => shardRecord(message)),
		);
		expect(tally).toMatchObject({ failed: [], posts: 1, passed: 29 });
		expect(inboxes.shown(id)).toEqual(envelopes.map((envelope) => envelope.id));
	});

	it("posts to who came after what another was posted, from where its own message starts", async () => {
		const channel = freshChannel();
		const inboxes = new Inboxes();
		const first = await asClient(channel);
		const [a, b] = [envelopeOf(channel), envelopeOf(channel)];
		const before = await deliverTo(inboxes, mail(channel, [a]));
		await deliverShards(
			shardPortsOf(inboxes),
			before.sent.map((message) => shardRecord(message)),
		);
		let late = randomUUID();
		while (shardOf(late) !== shardOf(first)) late = randomUUID();
		const expiresAt = Math.floor(world.clock.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id: late, api: "client", expiresAt }, [channel.key]);
		const { sent } = await deliverTo(inboxes, mail(channel, [b]));
		await deliverShards(
			shardPortsOf(inboxes),
			sent.map((message) => shardRecord(message)),
		);
		expect(inboxes.shown(first)).toEqual([a.id, b.id]);
		expect(inboxes.of(late).flatMap((frame) => (frame.t === "entries" ? frame.entries : []))).toMatchObject([
			{ position: { offset: 2 }, prev: { offset: 1 } },
		]);
	});

	it("copies what it cannot read, of another version too, to the error queue, and goes on in the group", async () => {
		const channel = freshChannel();
		const id = await asClient(channel);
		const inboxes = new Inboxes();
		const envelope = envelopeOf(channel);
		const { sent } = await deliverTo(inboxes, mail(channel, [envelope]));
		const [good] = sent.map((message) => shardRecord(message));
		if (good === undefined) throw new Error("a message");
		const fields = JSON.parse(good.body) as object;
		const bad = [{ v: 2 }, { shard: SHARDS + 3 }, { shard: "0" }, { from: "x" }, { channel: "x" }].map((change) => ({
			...good,
			messageId: randomUUID(),
			body: JSON.stringify({ ...fields, ...change }),
		}));
		const kept: string[] = [];
		const keepError = async (_record: unknown, code: string) => void kept.push(code);
		const ports = { ...shardPortsOf(inboxes), keepError };
		const records = [...bad, { ...good, body: "{" }, { ...good, body: "null" }, good];
		expect(await deliverShards(ports, records)).toMatchObject({ failed: [], undecodable: 7, posts: 1 });
		expect(kept).toEqual([
			"UnknownEnvelopeVersion",
			"InvalidMessage",
			"InvalidMessage",
			"InvalidCursor",
			"InvalidChannel",
			"InvalidMessage",
			"UnknownEnvelopeVersion",
		]);
		expect(inboxes.shown(id)).toEqual([envelope.id]);
	});

	it("is shown a message again after 1 s, then 2, while the tables fail, and nobody is posted to out of order", async () => {
		const channel = freshChannel();
		const id = await asClient(channel);
		const envelopes = [envelopeOf(channel), envelopeOf(channel)];
		const inboxes = new Inboxes();
		for (const envelope of envelopes) await deliver(portsOf(inboxes), mail(channel, [envelope]));
		const first = await receive(5);
		if (first === undefined) throw new Error("a message");
		const ports = shardPortsOf(inboxes);
		const failing = { ...ports, log: { rows: () => Promise.reject(named("InternalServerError")) } };
		const seconds: number[] = [];
		const postpone: typeof ports.postpone = async (records, after) => {
			seconds.push(after);
			await ports.postpone(records, after);
		};
		expect((await deliverShards({ ...failing, postpone }, [first])).failed).toEqual([first.messageId]);
		const again = await receive(10); // the queue's own visibility timeout is 120 s; the next one waits behind this
		if (again === undefined) throw new Error("a message again");
		expect(again.body).toBe(first.body);
		expect((await deliverShards({ ...failing, postpone }, [{ ...again, receives: 2 }])).failed).toHaveLength(1);
		expect(seconds).toEqual([1, 2]);
		for (let taken = 0; taken < 2; taken += 1) {
			const record = await receive(10);
			if (record === undefined) throw new Error("both messages");
			expect((await deliverShards(ports, [record])).failed).toEqual([]);
			await remove(record);
		}
		expect(inboxes.shown(id)).toEqual(envelopes.map((envelope) => envelope.id));
	});

	it("goes on when its mark cannot be kept: what comes again is posted again, and dropped by who has it", async () => {
		const channel = freshChannel();
		const id = await asClient(channel);
		const inboxes = new Inboxes();
		const envelope = envelopeOf(channel);
		const { sent } = await deliverTo(inboxes, mail(channel, [envelope]));
		const records = sent.map((message) => shardRecord(message));
		const ports = shardPortsOf(inboxes);
		const markPosted = () => Promise.reject(named("InternalServerError"));
		const forgetful = { ...ports, connections: { ...ports.connections, markPosted } };
		expect(await deliverShards(forgetful, records)).toMatchObject({ failed: [], posts: 1 });
		expect(await deliverShards(ports, records)).toMatchObject({ failed: [], posts: 1, passed: 0 });
		expect(await deliverShards(ports, records)).toMatchObject({ failed: [], posts: 0, passed: 1 });
		expect(inboxes.shown(id)).toEqual([envelope.id]);
	});
});

describe("a follower in a shard", () => {
	it("leaves it when it unsubscribes, and when its connection goes", async () => {
		const [one, two] = [freshChannel(), freshChannel()];
		const id = await asClient(one);
		const expiresAt = Math.floor(world.clock.now() / 1000) + CONNECTION_SECONDS;
		await world.connections().follow({ id, api: "client", expiresAt }, [two.key]);
		await world.connections().unfollow(id, [one.key]);
		expect([await followers(one), await followers(two)]).toEqual([[], [id]]);
		await world.connections().remove(id);
		expect(await followers(two)).toEqual([]);
	});
});
