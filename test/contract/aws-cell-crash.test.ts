/** Deliver and a shard's worker that die before or after each call that they make, and are run again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { CONNECTION_SECONDS } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { type DeliverPorts, deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import type { MailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { deliverShards } from "../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import { createMailroom, Inboxes, mail, recordOf, shardRecord } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, shardPortsOf, follow, deliverTo, rowsOf } = createMailroom(() => world);

type When = "before" | "after";

/** Everything that leaves the process counts; at the given count the process is dead, before or after the call. */
function mortal(inboxes: Inboxes, dieAt: number, when: When) {
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
	return { step, dynamo, poster, keepError, isDead: () => calls >= dieAt };
}

/** False when the work ended in fewer calls than it was to die at. */
async function dies(work: Promise<unknown>, isDead: () => boolean): Promise<boolean> {
	const ended = await Promise.race([
		work,
		(async () => {
			while (!isDead()) await new Promise((resolve) => setImmediate(resolve));
			// What was on its way when the process died may still arrive.
			await new Promise((resolve) => setTimeout(resolve, 30));
		})(),
	]);
	return ended === undefined;
}

describe("deliver, crashed", () => {
	it.each(["before", "after"] as const)(
		"%s any call, makes one row and shows one event of each message",
		async (when) => {
			let crashes = 0;
			for (let dieAt = 1; ; dieAt += 1) {
				const channel = freshChannel();
				const followers = [
					await follow(channel),
					await follow(channel),
					await follow(channel, CONNECTION_SECONDS, "client"),
				];
				const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
				const records = mail(channel, envelopes);
				records.splice(1, 0, recordOf(channel, "{"));
				const inboxes = new Inboxes();
				const { step, dynamo, poster, keepError, isDead } = mortal(inboxes, dieAt, when);
				const sent: MailboxMessage[] = [];
				const sendShards: DeliverPorts["sendShards"] = async (messages) => {
					sent.push(...messages);
					return [];
				};
				const ports = {
					...portsOf(poster, dynamo),
					keepError,
					sendShards: (messages: readonly MailboxMessage[]) => step(() => sendShards(messages)),
				};
				if (!(await dies(deliver(ports, records), isDead))) break;
				crashes += 1;
				expect(await deliver({ ...portsOf(inboxes), sendShards }, records)).toMatchObject({ failed: [] });
				const work = sent.map((message) => shardRecord(message));
				expect(await deliverShards(shardPortsOf(inboxes), work)).toMatchObject({ failed: [], posts: 1 });
				const expected = [envelopes[0]?.id, undefined, envelopes[1]?.id, envelopes[2]?.id];
				expect((await rowsOf(channel)).map(({ text }) => text && (JSON.parse(text) as Envelope).id)).toEqual(expected);
				for (const id of followers) expect(inboxes.shown(id)).toEqual(expected);
			}
			// A copy, a tail, four rows, the connections, the shard's message, two posts.
			expect(crashes).toBeGreaterThanOrEqual(10);
		},
	);
});

describe("a shard's worker, crashed", () => {
	it.each(["before", "after"] as const)("%s any call, shows one event of each message, in order", async (when) => {
		let crashes = 0;
		for (let dieAt = 1; ; dieAt += 1) {
			const channel = freshChannel();
			const id = await follow(channel, CONNECTION_SECONDS, "client");
			const inboxes = new Inboxes();
			const envelopes = [1, 2, 3].map((n) => envelopeOf(channel, n));
			const { sent } = await deliverTo(inboxes, mail(channel, envelopes.slice(0, 2)));
			// What its message does not name, and its frame has room for.
			const later = await deliverTo(inboxes, mail(channel, envelopes.slice(2)));
			const records = sent.map((message) => shardRecord(message));
			const { dynamo, poster, isDead } = mortal(inboxes, dieAt, when);
			if (!(await dies(deliverShards(shardPortsOf(poster, dynamo), records), isDead))) break;
			crashes += 1;
			records.push(...later.sent.map((message) => shardRecord(message)));
			expect(await deliverShards(shardPortsOf(inboxes), records)).toMatchObject({ failed: [] });
			expect(inboxes.shown(id)).toEqual(envelopes.map((envelope) => envelope.id));
		}
		// A mark, the rows, the connections, a post, the mark again.
		expect(crashes).toBe(5);
	});
});
