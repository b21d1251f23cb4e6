/** Relay into a real FIFO queue. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { groupOf } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { relay } from "../../lambda/layer/src/transports/aws/cell/relay.ts";
import { REGION } from "./aws-cell-caller.ts";
import { envelopeOf, freshChannel, ids, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

describe("relay", () => {
	it("takes copies of several regions into the mailbox once each, with group and channel", async () => {
		const channels = [freshChannel(), freshChannel()];
		const bodies = channels.flatMap((channel) =>
			[1, 2].map(() => encodeEnvelope(envelopeOf(channel, "w".repeat(90_000)))),
		);
		const newer = JSON.stringify({ v: 99, id: ids.next(), channel: channels[0]?.key, later: true });
		const record = (body: string, channel?: string) => ({ messageId: randomUUID(), body, channel });
		const records = [...bodies, ...bodies].map((body) => record(body));
		records.push(record(newer, channels[0]?.key), record(newer, channels[0]?.key), record("garbage"));
		const errors: string[] = [];
		const ports = {
			send: world.queues.sendMail,
			keepError: async (_: unknown, code: string) => void errors.push(code),
			report: () => {},
		};
		expect(await relay(ports, records)).toEqual([]);
		const mail = await world.takeMail(REGION, 5);
		const idOf = (body: string) => (JSON.parse(body) as { id: string }).id;
		expect(mail.map(({ body }) => idOf(body)).sort()).toEqual([...bodies, newer].map(idOf).sort());
		for (const { group, channel = "" } of mail) expect(group).toBe(groupOf(channel));
		expect(errors).toEqual(["InvalidEnvelope"]);
	});

	it("takes no control address from a topic, not even as what cannot be read", async () => {
		const peers = createChannel("instance", "*");
		const newer = JSON.stringify({ v: 99, id: ids.next(), channel: peers.key });
		const records = [encodeEnvelope(envelopeOf(peers)), newer].map((body) => {
			return { messageId: randomUUID(), body, channel: peers.key };
		});
		const errors: string[] = [];
		const send = () => Promise.reject(new Error("nothing is to be sent"));
		const keepError = async (_: unknown, code: string) => void errors.push(code);
		expect(await relay({ send, keepError, report: () => {} }, records)).toEqual([]);
		expect(errors).toEqual(["InvalidChannel", "InvalidChannel"]);
	});

	it("asks again for what the mailbox refused, and for no more", async () => {
		const channel = freshChannel();
		const records = [1, 2, 3].map((n) => ({
			messageId: String(n),
			body: encodeEnvelope(envelopeOf(channel, n)),
			channel: undefined,
		}));
		const ports = { keepError: async () => {}, report: () => {} };
		expect(await relay({ ...ports, send: async () => [1] }, records)).toEqual(["2"]);
		const send = () => Promise.reject(new Error("down"));
		expect(await relay({ ...ports, send }, records)).toEqual(["1", "2", "3"]);
	});
});
