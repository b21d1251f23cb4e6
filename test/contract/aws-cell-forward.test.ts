/** Deliver of sessions whose home is another region: real tables, and a real FIFO queue in each region. */
import { randomUUID } from "node:crypto";
import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { DETOUR_RECEIVES } from "../../lambda/layer/src/transports/aws/cell/detour.ts";
import { groupOf, mailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { sync } from "../../lambda/layer/src/transports/aws/cell/sync.ts";
import { createMailroom, Inboxes, mail, recordOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, rowsOf } = createMailroom(() => world);

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

	it("keeps their order when that mailbox takes some of them and not one in the middle [P2]", async () => {
		const channel = createChannel("session", randomUUID());
		await world.home(eu).claim(channel.key);
		const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
		const records = mail(channel, envelopes);
		const ports = portsOf(new Inboxes());
		const { sendTo } = ports.forward;
		// As SQS may: each entry of a batch is taken or refused for itself.
		let refusals = 1;
		const refusing: typeof sendTo = async (region, messages) => {
			const refused = messages.findIndex(({ MessageBody }) => MessageBody === records[1]?.body);
			if (refused < 0 || refusals === 0) return sendTo(region, messages);
			refusals -= 1;
			await sendTo(region, messages.toSpliced(refused, 1));
			return [refused];
		};
		const forward = { ...ports.forward, sendTo: refusing };
		expect((await deliver({ ...ports, forward, postpone: async () => {} }, records)).failed).toHaveLength(3);
		expect(await deliver({ ...ports, forward }, records)).toMatchObject({ failed: [], forwarded: 3 });
		expect((await world.takeMail(eu, 3)).map(({ body }) => body)).toEqual(envelopes.map(encodeEnvelope));
	});

	it("sends on what has been in the home's mailbox before, which knows its id: the session came back [P3]", async () => {
		const channel = createChannel("session", randomUUID());
		const envelope = envelopeOf(channel);
		const [record] = mail(channel, [envelope]);
		if (record === undefined) throw new Error("one record");
		// Moved from there to here, and back before this region had delivered it.
		await world.forward().sendTo(eu, [mailboxMessage(channel.key, envelope.id, record.body)]);
		await world.home(eu).claim(channel.key);
		for (const _ of [1, 2]) {
			const tally = await deliver(portsOf(new Inboxes()), [{ ...record, via: [eu] }]);
			expect(tally).toMatchObject({ failed: [], forwarded: 1, appended: 0 });
		}
		const taken = await world.takeMail(eu, 3);
		expect(taken.map(({ body, via }) => [body, via])).toEqual([
			[record.body, undefined],
			[record.body, "eu-west-1,us-east-1"],
		]);
		expect(await rowsOf(channel)).toEqual([]);
	});

	it("sends on what it appended while the session moved, and sync had looked before [P3]", async () => {
		const channel = createChannel("session", randomUUID());
		await world.home("us-east-1").claim(channel.key);
		const envelopes = [envelopeOf(channel), envelopeOf(channel)];
		const ports = portsOf(new Inboxes());
		// Deliver has looked, and the table is slow: meanwhile a client subscribes elsewhere, and its claim arrives here.
		const append: typeof ports.log.append = async (...asked) => {
			await world.home(eu).claim(channel.key);
			const record = { sequence: "1", session: channel.key, region: eu, counter: 2, at: world.clock.now() };
			await sync({ ...ports, ...ports.forward, log: world.log(), connections: world.connections() }, [record]);
			return ports.log.append(...asked);
		};
		const tally = await deliver({ ...ports, log: { append } }, mail(channel, envelopes));
		expect(tally).toMatchObject({ failed: [], appended: 2, forwarded: 2 });
		const taken = await world.takeMail(eu, 3);
		expect(taken.map(({ body, via }) => [body, via])).toEqual(
			envelopes.map((one) => [encodeEnvelope(one), "us-east-1"]),
		);
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

	it("keeps apart what waits for a lost region, so that the mailbox does not fill with it [P7]", async () => {
		const [channel, other, back] = [1, 2, 3].map(() => createChannel("session", randomUUID()));
		if (!channel || !other || !back) throw new Error("three channels");
		for (const { key } of [channel, other, back]) await world.home(eu).claim(key);
		const ports = portsOf(new Inboxes());
		let tries = 0;
		const sendTo = async (): Promise<readonly number[]> => {
			tries += 1;
			throw new Error("the region is lost");
		};
		const lost = { ...ports, forward: { ...ports.forward, sendTo }, postpone: async () => {} };
		const waiting = mail(channel, [envelopeOf(channel), envelopeOf(channel)]);
		expect(await deliver(lost, waiting)).toMatchObject({ failed: waiting.map(({ messageId }) => messageId) });
		const stuck = waiting.map((record) => ({ ...record, receives: DETOUR_RECEIVES }));
		expect(await deliver(lost, stuck)).toMatchObject({ failed: [], detoured: 2, forwarded: 0 });
		// What comes behind it is not tried, for a time.
		expect([tries, (await deliver(lost, mail(other, [envelopeOf(other)]))).detoured, tries]).toEqual([2, 1, 2]);
		const { Attributes } = await world.clients.sqs().send(
			new GetQueueAttributesCommand({
				QueueUrl: world.urls.relay,
				AttributeNames: ["ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessages"],
			}),
		);
		expect(Attributes).toMatchObject({ ApproximateNumberOfMessagesDelayed: "3", ApproximateNumberOfMessages: "0" });
		// It is tried again, though more came meanwhile, and one failure is enough.
		for (const tried of [2, 3, 3]) {
			world.clock.advance(20_000);
			const ports = { ...portsOf(new Inboxes()), detour: lost.detour, forward: lost.forward };
			expect(await deliver(ports, mail(other, [envelopeOf(other)]))).toMatchObject({ failed: [], detoured: 1 });
			expect(tries).toBe(tried);
		}
		world.clock.advance(60_000);
		const again = { ...portsOf(new Inboxes()), detour: lost.detour };
		expect(await deliver(again, mail(back, [envelopeOf(back)]))).toMatchObject({ forwarded: 1, detoured: 0 });
		expect(await world.takeMail(eu, 1)).toHaveLength(1);
		expect(await rowsOf(channel)).toEqual([]);
	});

	it("is at home where its home is, or where it has none", async () => {
		const [mine, nobodys] = [createChannel("session", randomUUID()), createChannel("session", randomUUID())];
		await world.home("us-east-1").claim(mine.key);
		const records = [...mail(mine, [envelopeOf(mine)]), ...mail(nobodys, [envelopeOf(nobodys)])];
		expect(await deliver(portsOf(new Inboxes()), records)).toMatchObject({ forwarded: 0, appended: 2 });
	});
});
