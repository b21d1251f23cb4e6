/** What sync takes along of a session that moved, from a real log to the new home's real mailbox. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { decodeEnvelope, encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { mailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { sync } from "../../lambda/layer/src/transports/aws/cell/sync.ts";
import { REGION } from "./aws-cell-caller.ts";
import { postingOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, itemOf, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

/** All that sync works with, of the region that the session was in. */
function syncParts() {
	const poster: Poster = { post: async () => {}, close: async () => {} };
	const { clock } = world;
	const log = world.log();
	const connections = world.connections();
	return { ...world.forward(), log, connections, poster, clock, ...postingOf(world), report: () => {} };
}

describe("a session that moved", () => {
	it("takes along what entered the log of its old home after it had moved, and nothing from before", async () => {
		const session = createChannel("session", randomUUID());
		const [before, after, later] = [1, 2, 3].map((n) => envelopeOf(session, n));
		if (!before || !after || !later) throw new Error("three envelopes");
		await world.log().append(session.key, [itemOf(before)]);
		world.clock.advance(1_000);
		await world.home("eu-west-1").claim(session.key);
		const at = world.clock.now();
		world.clock.advance(100);
		await world.log().append(session.key, [itemOf(after), itemOf(later)]);
		const record = { sequence: "1", session: session.key, region: "eu-west-1", counter: 1, at };
		for (const _ of [1, 2]) await sync(syncParts(), [record]);
		const mail = await world.takeMail("eu-west-1", 3);
		expect(mail.map(({ body, via }) => [body, via])).toEqual(
			[after, later].map((one) => [encodeEnvelope(one), REGION]),
		);
	});

	it("[P3] takes along that a message was lost here: its new home tells of a gap", async () => {
		const session = createChannel("session", randomUUID());
		await world.home("eu-west-1").claim(session.key);
		const at = world.clock.now();
		world.clock.advance(100);
		const after = envelopeOf(session, 1);
		await world.log().append(session.key, [{ id: "undecodable" }, itemOf(after)]);
		await sync(syncParts(), [{ sequence: "1", session: session.key, region: "eu-west-1", counter: 1, at }]);
		const [lost, kept] = await world.takeMail("eu-west-1", 2);
		expect(() => decodeEnvelope(lost?.body ?? encodeEnvelope(after))).toThrow();
		expect([lost?.channel, lost?.via, kept?.body]).toEqual([session.key, REGION, encodeEnvelope(after)]);
	});

	it("[P4] leaves what was delivered here after it had come back, though the move before is read late", async () => {
		const session = createChannel("session", randomUUID());
		const [here, later] = [envelopeOf(session, 1), envelopeOf(session, 2)];
		const moveTo = async (region: string) => {
			const { counter } = await world.home(region).claim(session.key);
			const at = world.clock.now();
			world.clock.advance(100);
			return { sequence: String(counter), session: session.key, region, counter, at };
		};
		const left = await moveTo("eu-west-1");
		await moveTo(REGION);
		await world.log().append(session.key, [itemOf(here)]);
		world.clock.advance(100);
		const leftAgain = await moveTo("eu-west-1");
		await world.log().append(session.key, [itemOf(later)]);
		await sync(syncParts(), [left, leftAgain]);
		const mail = await world.takeMail("eu-west-1", 3);
		expect(mail.map(({ body }) => body)).toEqual([encodeEnvelope(later)]);
	});

	it("takes along what its new home had sent here before: that mailbox still knows the id", async () => {
		const session = createChannel("session", randomUUID());
		const envelope = envelopeOf(session, 1);
		// It reached eu-west-1 first, which then believed that the session lived here, and sent it on.
		await world.forward().sendTo("eu-west-1", [mailboxMessage(session.key, envelope.id, encodeEnvelope(envelope))]);
		expect(await world.takeMail("eu-west-1", 1)).toHaveLength(1);
		await world.home("eu-west-1").claim(session.key);
		const at = world.clock.now();
		world.clock.advance(100);
		await world.log().append(session.key, [itemOf(envelope)]);
		await sync(syncParts(), [{ sequence: "1", session: session.key, region: "eu-west-1", counter: 1, at }]);
		const mail = await world.takeMail("eu-west-1", 1);
		expect(mail.map(({ body }) => body)).toEqual([encodeEnvelope(envelope)]);
	});
});
