/** P2: one publisher's call order is the log's order, and every reader sees the same one. */
import assert from "node:assert/strict";
import { envelopeOf, numbersOf, offer, onBench, readAll, send, settled, upTo } from "../bench.ts";
import { defineCase, type Harness } from "../harness.ts";

const retained = (harness: Harness, most: number) => Math.min(most, harness.limits.eventsPerChannel ?? most);

export const orderCases = [
	defineCase("order-batches", ["P2"], "events stand in call order, within a batch and across batches", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			let n = 0;
			for (const size of [1, 3, 1, 5, 2]) {
				const batch = upTo(Math.min(size, transport.capabilities.batch.count), n + 1);
				n += batch.length;
				const outcomes = await offer(
					transport,
					channel,
					batch.map((number) => envelopeOf(transport, channel, number)),
				);
				assert.ok(outcomes.every(({ ok }) => ok));
			}
			assert.deepEqual(numbersOf(await settled(bench, channel, n)), upTo(n));
		}),
	),
	defineCase("order-largest-batch", ["P2"], "a batch of the stated count is taken whole", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const count = retained(harness, transport.capabilities.batch.count);
			const outcomes = await offer(
				transport,
				channel,
				upTo(count).map((n) => envelopeOf(transport, channel, n)),
			);
			assert.equal(outcomes.filter(({ ok }) => ok).length, count);
			assert.deepEqual(numbersOf(await settled(bench, channel, count)), upTo(count));
		}),
	),
	defineCase("order-channels", ["P2"], "channels published at once each keep their own order", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channels = ["a", "b", "c", "d"].map((id) => bench.channel(id));
			await Promise.all(
				channels.map(async (channel) => {
					for (const n of upTo(6)) await send(transport, channel, n);
				}),
			);
			for (const channel of channels) assert.deepEqual(numbersOf(await settled(bench, channel, 6)), upTo(6));
		}),
	),
	defineCase(
		"order-publishers",
		["P2"],
		"two instances that publish at once: both read one order, and each publisher's own is kept in it",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const transports = [bench.transport, await bench.another()];
				await Promise.all(
					transports.map(async (transport, index) => {
						for (const n of upTo(8)) await send(transport, channel, index * 100 + n);
					}),
				);
				const seen = numbersOf(await settled(bench, channel, 16)) as number[];
				assert.deepEqual(
					seen.filter((n) => n < 100),
					upTo(8),
				);
				assert.deepEqual(
					seen.filter((n) => n > 100),
					upTo(8, 101),
				);
				const other = await readAll(transports[1] ?? bench.transport, channel);
				assert.deepEqual(numbersOf(other.entries), seen);
			}),
		(harness) => (harness.alone ? "the transport reaches one process only" : undefined),
	),
];
