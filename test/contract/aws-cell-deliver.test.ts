/** Deliver on real tables and a real FIFO queue; connections are inboxes that the test can break. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import { type DeliverPorts, deliver, type MailRecord } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { groupOf, mailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { aws } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { createMailroom, Inboxes, mail, named, recordOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, follow, rowsOf, followers } = createMailroom(() => world);

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

	it("notes size and hash of what no error queue could hold with its attributes", async () => {
		const body = "b".repeat(1024 * 1024 - 100);
		const record = recordOf(freshChannel(), body);
		await world.queues.keepError(record, "PayloadTooLarge");
		let note: string | undefined;
		for (let round = 0; round < 10 && note === undefined; round += 1) {
			const command = new aws.sqs.ReceiveMessageCommand({
				QueueUrl: world.urls.errors,
				MaxNumberOfMessages: 10,
				MessageAttributeNames: ["All"],
			});
			const { Messages = [] } = await world.clients.sqs().send(command);
			note = Messages.find(
				({ MessageAttributes }) => MessageAttributes?.source?.StringValue === record.messageId,
			)?.Body;
		}
		expect(JSON.parse(note ?? "{}")).toMatchObject({ omitted: "body", bytes: body.length });
	});

	it("goes on after some minutes without a copy, when the error queue takes none, and reports it", async () => {
		const channel = freshChannel();
		const id = await follow(channel);
		const inboxes = new Inboxes();
		const reported: string[] = [];
		const ports = {
			...portsOf(inboxes),
			keepError: () => Promise.reject(named("QueueDoesNotExist")),
			postpone: async () => {},
			report: (what: string) => void reported.push(what),
		};
		const envelope = envelopeOf(channel);
		const batch = (receives: number) => [recordOf(channel, "{", { receives }), ...mail(channel, [envelope])];
		expect((await deliver(ports, batch(9))).failed).toHaveLength(2);
		expect(await deliver(ports, batch(10))).toMatchObject({ failed: [], uncopied: 1, appended: 2 });
		expect(inboxes.shown(id)).toEqual([undefined, envelope.id]);
		expect(reported).toContain("message was lost without a copy");
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
