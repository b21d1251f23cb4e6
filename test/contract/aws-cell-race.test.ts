/** A subscribe that races deliver and a shard's worker, on real tables: what it is not told, it is posted. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Api } from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { groupOf } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import { shardKeyOf, shardOf } from "../../lambda/layer/src/transports/aws/cell/shard.ts";
import { deliverShards } from "../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import { announcedSeed, createRandom } from "../support/random.ts";
import { createCaller } from "./aws-cell-caller.ts";
import { createMailroom, Inboxes, mail, shardRecord } from "./aws-cell-mailroom.ts";
import { envelopeOf, freshChannel, startWorld, type World } from "./aws-cell-world.ts";

const seed = announcedSeed("aws-cell-race");
let world: World;
beforeAll(async () => {
	world = await startWorld();
});
afterAll(() => world?.stop());

const { shardPortsOf, deliverTo, follow } = createMailroom(() => world);
const { connect, ask, claimsFor } = createCaller(() => world);
const COUNT = 6;

describe("a subscribe that races deliver", () => {
	it.each<Api>(["backend", "client"])(
		"as a %s misses nothing: what is not at or under the told end is posted",
		async (api) => {
			const random = createRandom(seed);
			for (let round = 0; round < 12; round += 1) {
				const channel = freshChannel();
				const meta = await connect(api, api === "client" ? await claimsFor([channel.key]) : undefined);
				const inboxes = new Inboxes();
				const envelopes = Array.from({ length: COUNT }, (_, n) => envelopeOf(channel, n));
				const working: Promise<unknown>[] = [];
				let last: Promise<unknown> = Promise.resolve();
				const publishing = (async () => {
					for (const envelope of envelopes) {
						const { sent } = await deliverTo(inboxes, mail(channel, [envelope]));
						const records = sent.map((message) => shardRecord(message));
						const groups = [...Map.groupBy(records, ({ group }) => group).values()];
						last = last.then(() => Promise.all(groups.map((group) => deliverShards(shardPortsOf(inboxes), group))));
						working.push(last);
					}
				})();
				await new Promise((resolve) => setTimeout(resolve, random.below(60)));
				const answer = await ask(meta, { action: "subscribe", ref: 1, channels: [channel.key] });
				await publishing;
				await Promise.all(working);
				if (answer.t !== "subscribed") throw new Error(answer.t);
				const end = answer.ends[0]?.[1].offset ?? 0;
				const posted = inboxes.of(meta.id).flatMap((one) => (one.t === "entries" ? one.entries : []));
				const offsets = new Set(posted.map(({ position }) => position.offset));
				for (let offset = end + 1; offset <= COUNT; offset += 1) {
					const where = `seed ${random.seed}, round ${round}, offset ${offset} after ${end}`;
					expect(offsets.has(offset), where).toBe(true);
				}
			}
		},
	);

	it("between a worker's two reads, is posted what came after it, though the worker has posted that to the others", async () => {
		const channel = freshChannel();
		const meta = await connect("client", await claimsFor([channel.key]));
		for (let shard: number | undefined; shard !== shardOf(meta.id); ) {
			shard = shardOf(await follow(channel, 600, "client"));
		}
		const inboxes = new Inboxes();
		const [a, b] = [envelopeOf(channel), envelopeOf(channel)];
		const group = groupOf(shardKeyOf(channel.key, shardOf(meta.id)));
		const deliverOne = async (envelope: typeof a) =>
			(await deliverTo(inboxes, mail(channel, [envelope]))).sent
				.filter(({ MessageGroupId }) => MessageGroupId === group)
				.map((message) => shardRecord(message));
		const records = await deliverOne(a);
		const ports = shardPortsOf(inboxes);
		let isFirst = true;
		const then = async <T>(answer: Promise<T>): Promise<T> => {
			const value = await answer;
			if (!isFirst) return value;
			isFirst = false;
			expect(await ask(meta, { action: "subscribe", ref: 1, channels: [channel.key] })).toMatchObject({
				ends: [[channel.key, { offset: 1 }]],
			});
			records.push(...(await deliverOne(b)));
			return value;
		};
		const between = {
			...ports,
			connections: {
				...ports.connections,
				ofShard: (key: string, n: number) => then(ports.connections.ofShard(key, n)),
			},
			log: { rows: (...ask: Parameters<typeof ports.log.rows>) => then(ports.log.rows(...ask)) },
		};
		await deliverShards(between, records.slice(0, 1));
		await deliverShards(ports, records.slice(1));
		const posted = inboxes.of(meta.id).flatMap((one) => (one.t === "entries" ? one.entries : []));
		expect(posted.map(({ position }) => position.offset)).toContain(2);
	});
});
