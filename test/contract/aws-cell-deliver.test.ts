/** Deliver on real tables and a real FIFO queue; connections are inboxes that the test can break. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Channel, createChannel } from "../../lambda/layer/src/core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import type { Entry } from "../../lambda/layer/src/core/transport.ts";
import { CONNECTION_SECONDS, type Connection } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { type DeliverPorts, deliver, type MailRecord } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { answerFrame } from "../../lambda/layer/src/transports/aws/cell/frames.ts";
import { groupOf, mailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { aws, type DynamoClient } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { decodeServerFrame, encodeClientFrame, type ServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import { createRandom, seedFromEnv } from "../support/random.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const named = (name: string) => Object.assign(new Error(name), { name });

/** What connections receive, and how they fail. */
class Inboxes implements Poster {
	readonly frames = new Map<string, ServerFrame[]>();
	readonly closed: string[] = [];
	readonly failing = new Map<string, string>();

	async post({ id }: Connection, frame: string): Promise<void> {
		const name = this.failing.get(id);
		const isEnd = decodeServerFrame(frame).t === "end";
		if (name !== undefined && !(isEnd && name === "LimitExceededException")) throw named(name);
		this.frames.set(id, [...this.of(id), decodeServerFrame(frame)]);
	}

	async close({ id }: Connection): Promise<void> {
		this.closed.push(id);
	}

	of(id: string): ServerFrame[] {
		return this.frames.get(id) ?? [];
	}

	/** The envelopes that a client shows: positions that it has are dropped, and none may be missing. */
	shown(id: string): (string | undefined)[] {
		let last = 0n;
		const shown: (string | undefined)[] = [];
		for (const frame of this.of(id)) {
			if (frame.t !== "entries") continue;
			for (const { position, prev, envelope } of frame.entries as Required<Entry>[]) {
				if (position.offset <= last) continue;
				expect(prev.offset).toBe(last);
				last = position.offset;
				shown.push(envelope?.id);
			}
		}
		return shown;
	}
}

function portsOf(poster: Poster, dynamo: DynamoClient = world.clients.dynamo()): DeliverPorts {
	const { keepError, postpone } = world.queues;
	const { clock } = world;
	const connections = world.connections(dynamo);
	const forward = world.forward();
	return { log: world.log(dynamo), connections, poster, clock, report: () => {}, keepError, postpone, forward };
}

const recordOf = (channel: Channel, body: string, more: Partial<MailRecord> = {}): MailRecord => ({
	messageId: randomUUID(),
	body,
	group: groupOf(channel.key),
	channel: channel.key,
	via: [],
	receipt: "none",
	receives: 1,
	...more,
});
const mail = (channel: Channel, envelopes: readonly Envelope[]) =>
	envelopes.map((envelope) => recordOf(channel, encodeEnvelope(envelope)));

async function follow(channel: Channel, seconds = CONNECTION_SECONDS): Promise<string> {
	const id = randomUUID();
	const expiresAt = Math.floor(world.clock.now() / 1000) + seconds;
	await world.connections().open({ id, api: "backend" });
	await world.connections().follow({ id, api: "backend", expiresAt }, [channel.key]);
	return id;
}

const rowsOf = async (channel: Channel) => (await world.log().rows(channel.key, BEGINNING, 100)).entries;
const followers = async (channel: Channel) => (await world.connections().of(channel.key)).map(({ id }) => id);

describe("deliver", () => {
	it("appends in order and posts to every follower", async () => {
		const [a, b] = [freshChannel(), freshChannel()];
		const [one, two] = [await follow(a), await follow(b)];
		const [first, second] = [[1, 2, 3].map((n) => envelopeOf(a, n)), [1].map((n) => envelopeOf(b, n))];
		const inboxes = new Inboxes();
		const records = [...mail(a, first), ...mail(b, second)];
		expect(await deliver(portsOf(inboxes), records)).toMatchObject({ failed: [], appended: 4, repeated: 0, posts: 2 });
		expect(inboxes.shown(one)).toEqual(first.map(({ id }) => id));
		expect(inboxes.shown(two)).toEqual(second.map(({ id }) => id));
	});

	it("makes one row and one event of a message that comes twice, in one batch or in two", async () => {
		const channel = freshChannel();
		const id = await follow(channel);
		const [a, b] = [envelopeOf(channel, 1), envelopeOf(channel, 2)];
		const inboxes = new Inboxes();
		await deliver(portsOf(inboxes), mail(channel, [a, a]));
		const { repeated } = await deliver(portsOf(inboxes), mail(channel, [a, b]));
		expect(repeated).toBe(1);
		expect(await rowsOf(channel)).toHaveLength(2);
		expect(inboxes.shown(id)).toEqual([a.id, b.id]);
	});

	it("splits what one frame cannot hold, in order", async () => {
		const channel = freshChannel();
		const id = await follow(channel);
		const envelopes = Array.from({ length: 8 }, () => envelopeOf(channel, "y".repeat(50_000)));
		const inboxes = new Inboxes();
		await deliver(portsOf(inboxes), mail(channel, envelopes));
		expect(inboxes.of(id).length).toBe(4);
		expect(inboxes.shown(id)).toEqual(envelopes.map((envelope) => envelope.id));
	});

	it("copies what it cannot decode to the error queue, leaves a gap and goes on", async () => {
		const channel = freshChannel();
		const id = await follow(channel);
		const [a, b] = [envelopeOf(channel, 1), envelopeOf(channel, 2)];
		const newer = JSON.stringify({ ...(JSON.parse(encodeEnvelope(a)) as object), v: 99 });
		const foreign = encodeEnvelope(envelopeOf(freshChannel()));
		const huge = encodeEnvelope(envelopeOf(channel, "z".repeat(130_000)));
		const bad = ["{", newer, foreign, huge].map((body) => recordOf(channel, body));
		const lost = recordOf(channel, "nothing at all", { channel: undefined });
		const inboxes = new Inboxes();
		const records = [...mail(channel, [a]), ...bad, lost, ...mail(channel, [b])];
		expect(await deliver(portsOf(inboxes), records)).toMatchObject({ failed: [], undecodable: 5, appended: 6 });
		expect(inboxes.shown(id)).toEqual([a.id, undefined, undefined, undefined, undefined, b.id]);
		const codes = new Set<string | undefined>();
		for (let round = 0; round < 10 && codes.size < 4; round += 1) {
			const command = new aws.sqs.ReceiveMessageCommand({
				QueueUrl: world.urls.errors,
				MaxNumberOfMessages: 10,
				MessageAttributeNames: ["All"],
			});
			const { Messages = [] } = await world.clients.sqs().send(command);
			for (const { MessageAttributes } of Messages) codes.add(MessageAttributes?.code?.StringValue);
		}
		expect([...codes].sort()).toEqual([
			"InvalidChannel",
			"InvalidEnvelope",
			"PayloadTooLarge",
			"UnknownEnvelopeVersion",
		]);
	});

	it("forgets a connection that is gone and serves the others", async () => {
		const channel = freshChannel();
		const [gone, here] = [await follow(channel), await follow(channel)];
		const inboxes = new Inboxes();
		inboxes.failing.set(gone, "GoneException");
		const envelope = envelopeOf(channel);
		expect(await deliver(portsOf(inboxes), mail(channel, [envelope]))).toMatchObject({
			failed: [],
			posts: 1,
			ended: 0,
		});
		expect(await followers(channel)).toEqual([here]);
		expect(await world.connections().meta(gone)).toBeUndefined();
		expect(inboxes.shown(here)).toEqual([envelope.id]);
	});

	it("tells a connection that only fails why, closes it and forgets it; it then reads what it missed", async () => {
		const channel = freshChannel();
		const [slow, here] = [await follow(channel), await follow(channel)];
		const inboxes = new Inboxes();
		inboxes.failing.set(slow, "LimitExceededException");
		const envelope = envelopeOf(channel);
		expect(await deliver(portsOf(inboxes), mail(channel, [envelope]))).toMatchObject({
			failed: [],
			posts: 1,
			ended: 1,
		});
		expect(inboxes.of(slow)).toEqual([{ t: "end", reason: "slow-consumer" }]);
		expect(inboxes.closed).toEqual([slow]);
		expect(await followers(channel)).toEqual([here]);
		const page = await world.log().read({ channel, from: BEGINNING, limit: 10 });
		expect([page.verdict, page.entries.map((entry) => entry.envelope?.id)]).toEqual(["whole", [envelope.id]]);
	});

	it("closes a connection that cannot even be told", async () => {
		const channel = freshChannel();
		const broken = await follow(channel);
		const inboxes = new Inboxes();
		inboxes.failing.set(broken, "InternalServerError");
		expect(await deliver(portsOf(inboxes), mail(channel, [envelopeOf(channel)]))).toMatchObject({
			failed: [],
			ended: 1,
		});
		expect(inboxes.closed).toEqual([broken]);
		expect(await followers(channel)).toEqual([]);
	});

	it("ends a follower whose ticket has ended with the reason, and posts it nothing", async () => {
		const channel = freshChannel();
		const id = await follow(channel, -1);
		const inboxes = new Inboxes();
		await deliver(portsOf(inboxes), mail(channel, [envelopeOf(channel)]));
		expect(inboxes.of(id)).toEqual([{ t: "end", reason: "expired" }]);
		expect(await followers(channel)).toEqual([]);
	});

	it("puts back a group that fails, whole and soon, and no other", async () => {
		const [bad, good] = [freshChannel(), freshChannel()];
		const id = await follow(good);
		const inboxes = new Inboxes();
		const postponed: [number, number][] = [];
		const ports = portsOf(inboxes);
		const log: DeliverPorts["log"] = {
			append: async (key, items) => {
				if (key === bad.key) throw named("ProvisionedThroughputExceededException");
				return ports.log.append(key, items);
			},
		};
		const badMail = mail(bad, [envelopeOf(bad), envelopeOf(bad)]).map((record) => ({ ...record, receives: 4 }));
		const goodMail = mail(good, [envelopeOf(good)]);
		const records = [badMail[0], goodMail[0], badMail[1]].filter((record) => record !== undefined);
		const postpone = async (group: readonly MailRecord[], seconds: number) => {
			postponed.push([group.length, seconds]);
		};
		const { failed } = await deliver({ ...ports, log, postpone }, records);
		expect(failed).toEqual(badMail.map(({ messageId }) => messageId));
		expect(postponed).toEqual([[2, 8]]);
		expect(inboxes.shown(id)).toHaveLength(1);
	});

	it("shows a failed group again after the back-off, by a real queue's visibility", async () => {
		const channel = freshChannel();
		const envelope = envelopeOf(channel);
		await world.queues.sendMail([mailboxMessage(channel.key, envelope.id, encodeEnvelope(envelope))]);
		const receive = async (WaitTimeSeconds: number) => {
			const command = new aws.sqs.ReceiveMessageCommand({
				QueueUrl: world.urls.mailbox,
				WaitTimeSeconds,
				MessageSystemAttributeNames: ["All"],
			});
			return (await world.clients.sqs().send(command)).Messages?.[0];
		};
		const message = await receive(5);
		expect(message?.Attributes?.MessageGroupId).toBe(groupOf(channel.key));
		const record = recordOf(channel, message?.Body ?? "", { receipt: message?.ReceiptHandle ?? "" });
		const ports = portsOf(new Inboxes());
		const connections = { ...ports.connections, of: () => Promise.reject(named("InternalServerError")) };
		expect(await deliver({ ...ports, connections }, [record])).toMatchObject({ failed: [record.messageId] });
		const again = await receive(10); // the queue's own visibility timeout is 120 s
		expect(again?.Body).toBe(message?.Body);
	});
});

describe("a subscribe that races deliver", () => {
	it("misses nothing: what is not at or under the told end is posted", async () => {
		const random = createRandom(seedFromEnv());
		for (let round = 0; round < 12; round += 1) {
			const channel = freshChannel();
			const id = randomUUID();
			await world.connections().open({ id, api: "backend" });
			const meta = await world.connections().meta(id);
			if (meta === undefined) throw new Error("connected");
			const inboxes = new Inboxes();
			const envelopes = Array.from({ length: 6 }, (_, n) => envelopeOf(channel, n));
			const publishing = (async () => {
				for (const envelope of envelopes) await deliver(portsOf(inboxes), mail(channel, [envelope]));
			})();
			await new Promise((resolve) => setTimeout(resolve, random.below(60)));
			const ports = { namespace: "default", clock: world.clock, connections: world.connections(), log: world.log() };
			const more = { home: world.home("us-east-1"), report: () => {}, key: () => Promise.reject(new Error("no key")) };
			const frame = encodeClientFrame({ action: "subscribe", ref: 1, channels: [channel.key] });
			const answer = decodeServerFrame(await answerFrame({ ...ports, ...more }, meta, frame));
			await publishing;
			if (answer.t !== "subscribed") throw new Error(answer.t);
			const end = answer.ends[0]?.[1].offset ?? 0n;
			const posted = inboxes.of(id).flatMap((one) => (one.t === "entries" ? one.entries : []));
			const offsets = new Set(posted.map(({ position }) => position.offset));
			for (let offset = end + 1n; offset <= 6n; offset += 1n) {
				expect(offsets.has(offset), `seed ${random.seed}, round ${round}, offset ${offset} after ${end}`).toBe(true);
			}
		}
	});
});

describe("deliver, of a session whose home is elsewhere", () => {
	const eu = "eu-west-1";

	it("sends messages on to the home's mailbox, once each and in order, and keeps no row", async () => {
		const channel = createChannel("session", randomUUID());
		await world.home(eu).claim(channel.key);
		const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
		const records = [...mail(channel, envelopes), recordOf(channel, "{")];
		const inboxes = new Inboxes();
		for (const _ of [1, 2]) {
			expect(await deliver(portsOf(inboxes), records)).toMatchObject({ failed: [], forwarded: 4, appended: 0 });
		}
		const taken = await world.takeMail(eu, 5);
		expect(taken.map(({ body }) => body)).toEqual([...envelopes.map(encodeEnvelope), "{"]);
		for (const one of taken) {
			expect(one).toMatchObject({ group: groupOf(channel.key), channel: channel.key, via: "us-east-1" });
		}
		expect(await rowsOf(channel)).toEqual([]);
	});

	it("keeps what has been in the home's mailbox before: it would be dropped there", async () => {
		const channel = createChannel("session", randomUUID());
		await world.home(eu).claim(channel.key);
		const [record] = mail(channel, [envelopeOf(channel)]);
		if (record === undefined) throw new Error("one record");
		const tally = await deliver(portsOf(new Inboxes()), [{ ...record, via: [eu] }]);
		expect(tally).toMatchObject({ failed: [], forwarded: 0, appended: 1 });
	});

	it("puts the group back while the home's mailbox cannot be reached", async () => {
		const channel = createChannel("session", randomUUID());
		await world.home(eu).claim(channel.key);
		const records = mail(channel, [envelopeOf(channel), envelopeOf(channel)]);
		const ports = portsOf(new Inboxes());
		const forward = { ...ports.forward, sendTo: async () => [1] };
		const { failed } = await deliver({ ...ports, forward, postpone: async () => {} }, records);
		expect(failed).toEqual(records.map(({ messageId }) => messageId));
		expect(await rowsOf(channel)).toEqual([]);
	});

	it("is at home where its home is, or where it has none", async () => {
		const [mine, nobodys] = [createChannel("session", randomUUID()), createChannel("session", randomUUID())];
		await world.home("us-east-1").claim(mine.key);
		const records = [...mail(mine, [envelopeOf(mine)]), ...mail(nobodys, [envelopeOf(nobodys)])];
		expect(await deliver(portsOf(new Inboxes()), records)).toMatchObject({ forwarded: 0, appended: 2 });
	});
});

describe("deliver, crashed", () => {
	/** Everything that leaves the process counts; at the given count the process is dead, before or after the call. */
	function mortal(inboxes: Inboxes, dieAt: number, when: "before" | "after") {
		let calls = 0;
		const step = async <T>(call: () => Promise<T>): Promise<T> => {
			calls += 1;
			if (calls > dieAt) return new Promise<never>(() => {});
			if (calls === dieAt && when === "before") return new Promise<never>(() => {});
			const answer = await call();
			return calls >= dieAt ? new Promise<never>(() => {}) : answer;
		};
		const dynamo = new Proxy(world.clients.dynamo(), {
			get: (target, name, receiver) =>
				name === "send" ? (command: never) => step(() => target.send(command)) : Reflect.get(target, name, receiver),
		});
		const poster: Poster = {
			post: (connection, frame) => step(() => inboxes.post(connection, frame)),
			close: (connection) => step(() => inboxes.close(connection)),
		};
		const keepError: DeliverPorts["keepError"] = (record, code) => step(() => world.queues.keepError(record, code));
		return { ports: { ...portsOf(poster, dynamo), keepError }, isDead: () => calls >= dieAt };
	}

	it.each(["before", "after"] as const)(
		"%s any call, makes one row and shows one event of each message",
		async (when) => {
			let crashes = 0;
			for (let dieAt = 1; ; dieAt += 1) {
				const channel = freshChannel();
				const [one, two] = [await follow(channel), await follow(channel)];
				const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
				const records = mail(channel, envelopes);
				records.splice(1, 0, recordOf(channel, "{"));
				const inboxes = new Inboxes();
				const { ports, isDead } = mortal(inboxes, dieAt, when);
				const ended = await Promise.race([
					deliver(ports, records),
					(async () => {
						while (!isDead()) await new Promise((resolve) => setImmediate(resolve));
						// What was on its way when the process died may still arrive.
						await new Promise((resolve) => setTimeout(resolve, 30));
					})(),
				]);
				if (ended !== undefined) break; // it made fewer calls than that
				crashes += 1;
				expect(await deliver(portsOf(inboxes), records)).toMatchObject({ failed: [] });
				const expected = [envelopes[0]?.id, undefined, envelopes[1]?.id, envelopes[2]?.id];
				expect((await rowsOf(channel)).map(({ text }) => text && (JSON.parse(text) as Envelope).id)).toEqual(expected);
				for (const id of [one, two]) expect(inboxes.shown(id)).toEqual(expected);
			}
			// A copy, a tail, four rows, the connections, two posts.
			expect(crashes).toBeGreaterThanOrEqual(9);
		},
	);
});
