/** Deliver that dies before or after each call that it makes to real tables and queues, and is run again. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { type DeliverPorts, deliver } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { createMailroom, Inboxes, mail, recordOf } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { portsOf, follow, rowsOf } = createMailroom(() => world);

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
