/** P3 at the port: ends are authoritative, every position reads on gaplessly, and what is gone is told. */
import assert from "node:assert/strict";
import { envelopeBytes } from "../../../core/envelope.ts";
import { BEGINNING, isPosition } from "../../../core/position.ts";
import {
	cannotForget,
	cannotReset,
	collect,
	endOf,
	eventually,
	insist,
	loseOldest,
	never,
	numbersOf,
	onBench,
	readAll,
	readPage,
	send,
	settled,
	sized,
	upTo,
} from "../bench.ts";
import { defineCase } from "../harness.ts";

/** Whatever the number of entries that are asked for in it: a client stream that does not read holds a page. */
const MOST_PAGE_BYTES = 1024 * 1024;

export const positionCases = [
	defineCase(
		"end-ready",
		["P3"],
		"the end that a subscription is ready at: nothing before it is new, all after it is found",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, 1, 2);
				await settled(bench, channel, 2);
				const subscription = transport.subscribe(channel, collect());
				bench.atEnd(() => subscription.close());
				const end = await subscription.ready;
				assert.ok(isPosition(end));
				assert.deepEqual(end, await endOf(transport, channel));
				assert.deepEqual((await readAll(transport, channel, end)).entries, []);
				await send(transport, channel, 3, 4);
				assert.deepEqual(numbersOf(await settled(bench, channel, 2, end)), [3, 4]);
				assert.equal((await readAll(transport, channel, end)).verdict, "whole");
			}),
	),
	defineCase("end-empty", ["P3"], "a channel without a log: an end from which its first event is found", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const subscription = transport.subscribe(channel, collect());
			bench.atEnd(() => subscription.close());
			const end = await subscription.ready;
			const { entries, more, verdict } = await readPage(transport, { channel, from: end, limit: 10 });
			assert.deepEqual({ entries, more, verdict }, { entries: [], more: false, verdict: "whole" });
			await send(transport, channel, 1);
			assert.deepEqual(numbersOf(await settled(bench, channel, 1, end)), [1]);
		}),
	),
	defineCase(
		"end-seen",
		["P1", "P3"],
		"what was accepted is handed over or found by ends, and read either way",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				const live = collect();
				const subscription = transport.subscribe(channel, live);
				bench.atEnd(() => subscription.close());
				const before = await subscription.ready;
				for (const n of upTo(5)) {
					await send(transport, channel, n);
					await eventually(harness, `event ${n} live or in the end`, async () => {
						if (numbersOf(live.entries).includes(n)) return true;
						const end = await endOf(transport, channel);
						return (await readAll(transport, channel)).entries.at(-1)?.position.offset === end.offset &&
							end.offset >= before.offset + n
							? true
							: undefined;
					});
				}
				assert.deepEqual(numbersOf(await settled(bench, channel, 5, before)), upTo(5));
				for (const entry of live.entries) assert.ok(entry.envelope?.channel.key === channel.key);
			}),
	),
	defineCase(
		"read-everywhere",
		["P3"],
		"from every position, in pages of every size: exactly what follows",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, ...upTo(7));
				const all = await settled(bench, channel, 7);
				const starts = [BEGINNING, ...all.map(({ position }) => position)];
				for (const [index, from] of starts.entries()) {
					for (const limit of [1, 2, 3, 7, 100]) {
						const { entries, verdict } = await readAll(transport, channel, from, limit);
						assert.equal(verdict, "whole");
						assert.deepEqual(numbersOf(entries), upTo(7).slice(index), `from ${index} by ${limit}`);
					}
				}
				assert.deepEqual(await endOf(transport, channel), all.at(-1)?.position);
			}),
	),
	defineCase(
		"read-chain",
		["P3"],
		"positions rise within one epoch, and each entry names the one before it",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, ...upTo(5));
				const entries = await settled(bench, channel, 5);
				for (const [index, { position, prev }] of entries.entries()) {
					assert.ok(isPosition(position));
					const before = entries[index - 1]?.position;
					if (before === undefined) continue;
					assert.equal(position.epoch, before.epoch);
					assert.ok(position.offset > before.offset);
					if (prev === undefined) assert.equal(position.offset, before.offset + 1);
					else assert.deepEqual(prev, before);
				}
			}),
	),
	defineCase("read-since", ["P3"], "since a time: what was published in that window, the oldest first", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channel = bench.channel("a");
			const before = Date.now() - 1000;
			await send(transport, channel, ...upTo(3));
			await settled(bench, channel, 3);
			const page = await readPage(transport, { channel, from: { sinceMs: before }, limit: 10 });
			assert.equal(page.verdict, "whole");
			assert.deepEqual(numbersOf(page.entries), upTo(3));
			const later = await readPage(transport, { channel, from: { sinceMs: Date.now() + 60_000 }, limit: 10 });
			assert.deepEqual(later.entries, []);
		}),
	),
	defineCase("read-many", ["P3", "P5"], "many asks in one read: a page for each, unknown channels too", (harness) =>
		onBench(harness, async (bench) => {
			const { transport } = bench;
			const channels = ["a", "none", "b", "c"].map((id) => bench.channel(id));
			for (const [n, channel] of channels.entries()) {
				if (n !== 1) await send(transport, channel, n);
				if (n !== 1) await settled(bench, channel, 1);
			}
			const seen = new Map<string, unknown>();
			const asks = channels.map((channel) => ({ channel, from: BEGINNING, limit: 5 }));
			for await (const page of transport.read(asks, never)) seen.set(page.channel.key, numbersOf(page.entries));
			assert.deepEqual(
				channels.map(({ key }) => seen.get(key)),
				channels.map((_, n) => (n === 1 ? [] : [n])),
			);
			const ends = await transport.ends(channels, never);
			assert.equal(ends.length, channels.length);
			for (const [index, channel] of channels.entries()) {
				assert.deepEqual(ends[index], await endOf(transport, channel));
			}
		}),
	),
	defineCase(
		"read-bytes",
		["P3", "P6"],
		"a page of a hundred is bounded in bytes, and every position reads on whatever the size of its neighbours",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				const { maxPayloadBytes } = transport.capabilities;
				const count = Math.ceil((2 * MOST_PAGE_BYTES) / maxPayloadBytes);
				for (const n of upTo(count)) await insist(transport, channel, [sized(transport, channel, n, maxPayloadBytes)]);
				const all = await settled(bench, channel, count);
				for (const [index, from] of [BEGINNING, ...all.map(({ position }) => position)].entries()) {
					const { entries } = await readPage(transport, { channel, from, limit: 100 });
					const bytes = entries.reduce((sum, { envelope }) => sum + (envelope ? envelopeBytes(envelope) : 0), 0);
					assert.ok(bytes <= Math.max(MOST_PAGE_BYTES, 2 * maxPayloadBytes), `${bytes} bytes in a page`);
					assert.equal(numbersOf(entries)[0], index === count ? undefined : index + 1);
				}
			}),
	),
	defineCase(
		"read-retention",
		["P3"],
		"a position whose successors are gone is told `retention`; one that is still there is whole",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, 1, 2, 3);
				const [first] = await settled(bench, channel, 3);
				assert.ok(first);
				const start = first.prev ?? { ...first.position, offset: first.position.offset - 1 };
				await loseOldest(bench, channel, 4);
				const { verdict, entries } = await eventually(harness, "the loss is told", async () => {
					const found = await readAll(transport, channel, start);
					return found.verdict === "whole" ? undefined : found;
				});
				assert.equal(verdict, "retention");
				assert.ok(entries.length > 0, "the page goes on with what is kept");
				assert.equal((await readAll(transport, channel)).verdict, "retention");
				const oldest = entries[0];
				assert.ok(oldest);
				const rest = await readAll(transport, channel, oldest.position);
				assert.equal(rest.verdict, "whole");
				assert.deepEqual(numbersOf(rest.entries), numbersOf(entries.slice(1)));
			}),
		cannotForget,
	),
	defineCase(
		"read-foreign",
		["P3"],
		"a position of another epoch is told `epoch` and starts at the oldest",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, 1, 2);
				const [first] = await settled(bench, channel, 2);
				assert.ok(first);
				const epoch = first.position.epoch === "00c0ffee" ? "00c0ffef" : "00c0ffee";
				for (const offset of [0, 1, 2, 99]) {
					const { entries, verdict } = await readAll(transport, channel, { epoch, offset });
					assert.equal(verdict, "epoch");
					assert.deepEqual(numbersOf(entries), [1, 2]);
				}
			}),
	),
	defineCase(
		"read-reset",
		["P3"],
		"a log that lost its past has another epoch, and old positions are told so",
		(harness) =>
			onBench(harness, async (bench) => {
				const { transport } = bench;
				const channel = bench.channel("a");
				await send(transport, channel, 1, 2, 3);
				const old = await settled(bench, channel, 3);
				await harness.reset?.(channel);
				await send(transport, channel, 4);
				const fresh = await eventually(harness, "the new log", async () => {
					const { entries } = await readAll(transport, channel);
					return numbersOf(entries).includes(4) ? entries : undefined;
				});
				assert.deepEqual(numbersOf(fresh), [4]);
				assert.notEqual(fresh[0]?.position.epoch, old[0]?.position.epoch);
				for (const { position } of old) {
					const { entries, verdict } = await readAll(transport, channel, position);
					assert.equal(verdict, "epoch");
					assert.deepEqual(numbersOf(entries), [4]);
				}
			}),
		cannotReset,
	),
];
