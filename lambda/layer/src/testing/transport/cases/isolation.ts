/** P5 at the port: no spelling of a channel reaches another one's log. */
import assert from "node:assert/strict";
import { type Channel, createChannel } from "../../../core/channel.ts";
import { collect, envelopeOf, numbersOf, offer, onBench, readAll, send, settled } from "../bench.ts";
import { defineCase } from "../harness.ts";

/** Ids that mean something to some broker, wire, file system, query language or runtime. */
export const HOSTILE_IDS: readonly string[] = [
	"a",
	"A",
	"a ",
	"a/b",
	"a:b",
	"a.b",
	"a*",
	"*",
	">",
	"#",
	"{a}",
	"..",
	"../a",
	"%61",
	"%2F",
	"a\u0000b",
	"a\r\nSET x 1",
	"' OR '1'='1",
	'a","evil":"1',
	"__proto__",
	"constructor",
	"日本語",
	"🎉",
	"é",
	"e\u0301",
	"x".repeat(512),
	"x".repeat(511),
];

export const isolationCases = [
	defineCase("apart-scopes", ["P5"], "the same id in another kind, tenant or namespace is another log", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channels: Channel[] = [
				bench.channel("a", "topic"),
				bench.channel("a", "session"),
				bench.channel("a", "principal"),
				bench.channel("a/1", "post"),
				bench.channel("", "all"),
				bench.channel("a", "topic", "tenant2"),
				bench.channel("", "all", "tenant2"),
				createChannel("topic", "a", { namespace: harness.namespace(), tenant: "tenant" }),
			];
			await Promise.all(channels.map((channel, n) => send(transport, channel, n)));
			for (const [n, channel] of channels.entries()) {
				const entries = await settled(bench, channel, 1);
				assert.deepEqual(numbersOf(entries), [n]);
				assert.equal(entries[0]?.envelope?.channel.key, channel.key);
			}
		}),
	),
	defineCase("apart-hostile", ["P5"], "ids that mean something to somebody: each is one log of its own", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channels = HOSTILE_IDS.map((id) => bench.channel(id));
			await Promise.all(channels.map((channel, n) => send(transport, channel, n)));
			for (const [n, channel] of channels.entries()) {
				assert.deepEqual(numbersOf(await settled(bench, channel, 1)), [n], `id ${JSON.stringify(HOSTILE_IDS[n])}`);
			}
		}),
	),
	defineCase("apart-ids", ["P4", "P5"], "an id is known within its channel: two channels take one each", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const [a, b] = [bench.channel("a"), bench.channel("b")];
			const first = envelopeOf(transport, a, 1);
			for (const envelope of [first, { ...envelopeOf(transport, b, 2), id: first.id }]) {
				assert.partialDeepStrictEqual(await offer(transport, envelope.channel, [envelope]), [
					{ ok: true, duplicate: false },
				]);
			}
			assert.deepEqual(numbersOf(await settled(bench, a, 1)), [1]);
			assert.deepEqual(numbersOf(await settled(bench, b, 1)), [2]);
		}),
	),
	defineCase("apart-live", ["P5"], "a subscriber is handed its own channel's events and no other's", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channels = ["a", "*", ">", "a/b", "a.b"].map((id) => bench.channel(id));
			const lives = await Promise.all(
				channels.map(async (channel) => {
					const live = collect();
					const subscription = transport.subscribe(channel, live);
					bench.atEnd(() => subscription.close());
					await subscription.ready;
					return live;
				}),
			);
			await Promise.all(channels.map((channel, n) => send(transport, channel, n, n + 100)));
			for (const channel of channels) await settled(bench, channel, 2);
			for (const [n, live] of lives.entries()) {
				for (const { envelope } of live.entries) {
					assert.equal(envelope?.channel.key, channels[n]?.key);
					assert.ok(numbersOf(live.entries).every((number) => number === n || number === n + 100));
				}
			}
		}),
	),
	defineCase("apart-unsubscribed", ["P5", "P9"], "after close a subscription is handed nothing more", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const gone = collect();
			const subscription = transport.subscribe(channel, gone);
			await subscription.ready;
			subscription.close();
			subscription.close();
			const count = gone.entries.length;
			await send(transport, channel, 1);
			await settled(bench, channel, 1);
			const live = collect();
			const later = transport.subscribe(channel, live);
			bench.atEnd(() => later.close());
			const end = await later.ready;
			await send(transport, channel, 2);
			await settled(bench, channel, 1, end);
			assert.equal(gone.entries.length, count);
			assert.deepEqual(numbersOf((await readAll(transport, channel)).entries), [1, 2]);
		}),
	),
];
