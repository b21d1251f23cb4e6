/**
 * The scripts on a real server against a model that keeps everything: publish with repeated ids, trimming, eviction,
 * flushes, promotions, restarts and restored copies, in any order; then every position that was ever handed out is read.
 */
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../../lambda/layer/src/core/envelope.ts";
import { formatPosition, type Position } from "../../../../lambda/layer/src/core/position.ts";
import { createKeys } from "../../../../lambda/layer/src/transports/redis/keys.ts";
import { resolveSettings } from "../../../../lambda/layer/src/transports/redis/options.ts";
import { createStore, type Store } from "../../../../lambda/layer/src/transports/redis/store.ts";
import { type Broker, startValkey } from "../../../support/broker.ts";
import { announcedSeed, createRandom } from "../../../support/random.ts";
import { Model, type Op } from "./model.ts";

let server: Broker;
let client: Redis;
const seed = announcedSeed("redis scripts");
const random = createRandom(seed);

beforeAll(async () => {
	server = await startValkey();
	client = new Redis(server.port, server.host);
});
afterAll(async () => {
	client?.disconnect();
	await server?.stop();
});

const channel = fc.integer({ min: 0, max: 1 });
const op: fc.Arbitrary<Op> = fc.oneof(
	{
		weight: 8,
		arbitrary: fc.record({
			do: fc.constant("publish" as const),
			channel,
			fresh: fc.integer({ min: 0, max: 4 }),
			repeat: fc.boolean(),
		}),
	},
	{ weight: 3, arbitrary: fc.record({ do: fc.constant("ends" as const), channel }) },
	{ weight: 2, arbitrary: fc.record({ do: fc.constantFrom("trim" as const, "evict" as const), channel }) },
	{
		weight: 4,
		arbitrary: fc.record({
			do: fc.constantFrom(
				...(["rename", "promote", "copy", "copy", "restore", "restart", "restart", "rollback"] as const),
			),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({ do: fc.constantFrom("flush" as const, "stranger" as const, "stranger" as const) }),
	},
);

it("every position ever handed out reads on whole, in order, or is told; and nobody is told for nothing [P2] [P3] [P4]", async () => {
	let runs = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(op, { minLength: 1, maxLength: 40, size: "max" }), async (ops) => {
			const model = new Model(`model-${runs++}`, client, random);
			for (const each of ops) await model.run(each);
			await model.checkAll();
		}),
		{ seed, numRuns: 200 },
	);
}, 120_000);

it("a loss that many know is told once: their knowledge is settled, and epochs stand still again [P3]", async () => {
	const settings = resolveSettings({ url: server.url, prefix: "many", partitions: 1 });
	const keys = createKeys("many", 1);
	const news = createChannel("topic", "news");
	const random32 = () => random.below(2 ** 32);
	const open = () => createStore({ client, keys, settings, sharded: false, random32, report: () => undefined });
	const stores = Array.from({ length: 5 }, open);
	const endOf = async (store: Store | undefined) => (await store?.ends(0, [news]))?.ends[0];
	for (const store of stores) await endOf(store);
	const before = await endOf(stores[0]);
	for (const how of ["flush", "foreign"]) {
		if (how === "flush") await client.flushall();
		// Copied from elsewhere: everybody knows an epoch that this store never had.
		else await client.hset(keys.meta(0), "epoch", "0123abcd", "0123abcd", "7", "past", "");
		const after: (Position | undefined)[] = [];
		for (let round = 0; round < 3; round += 1) for (const store of stores) after.push(await endOf(store));
		expect(new Set(after.map((end) => end && formatPosition(end))).size, how).toBe(1);
		expect(after[0]?.epoch).not.toBe(before?.epoch);
	}
});

it("an id is known for the whole window, across the border of two, and forgotten after two [P4]", async () => {
	const dedupMs = 300;
	const settings = resolveSettings({ url: server.url, prefix: "window", partitions: 1, dedupMs });
	const random32 = () => random.below(2 ** 32);
	const keys = createKeys("window", 1);
	const store = createStore({ client, keys, settings, sharded: false, random32, report: () => {} });
	const news = createChannel("topic", "news");
	const message = { jsonrpc: "2.0", method: "notifications/message" } as const;
	const envelopeOf = (id: string): Envelope => {
		return { v: 1, id, channel: news, message, publishedAt: 1, origin: "window", lanes: ["redis"] };
	};
	const isKnown = async (id: string) => (await store.publish(news, [envelopeOf(id)]))[0]?.duplicate;
	// Starting points all over a window.
	for (let n = 0; n < 4; n += 1) {
		const id = `00000000-0000-7000-8000-00000000000${n}`;
		expect(await isKnown(id)).toBe(false);
		const from = performance.now();
		for (;;) {
			const known = await isKnown(id);
			if (performance.now() - from > dedupMs) break;
			expect(known).toBe(true);
			await new Promise((resolve) => setTimeout(resolve, 35 + 10 * n));
		}
	}
	await new Promise((resolve) => setTimeout(resolve, 2 * dedupMs + 50));
	expect(await isKnown("00000000-0000-7000-8000-000000000000")).toBe(false);
});
