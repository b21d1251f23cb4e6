/** P2 to P5 through the engine: what one client stream sees of this transport, opened and resumed. */
import assert from "node:assert/strict";
import { MAX_LANES } from "../../../core/cursor.ts";
import { createRandom } from "../../seeded.ts";
import { cannotForget, cannotReset, loseOldest, onBench, send, settled, upTo } from "../bench.ts";
import { defineCase } from "../harness.ts";
import { openStream, startEngine } from "../stream.ts";

const SEED = 20261124;

export const deliveryCases = [
	defineCase(
		"stream-live",
		["P2", "P3", "P4"],
		"an open stream sees everything after its opening, in order, once",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const engine = startEngine(bench);
				await send(bench.transport, channel, 1);
				await settled(bench, channel, 1);
				const stream = await openStream(bench, engine, [channel]);
				await send(bench.transport, channel, ...upTo(20, 2));
				await stream.shown(20);
				await send(bench.transport, channel, 99);
				assert.deepEqual(await stream.shown(21), [...upTo(20, 2), 99]);
				assert.deepEqual(stream.marks(), []);
			}),
	),
	defineCase(
		"stream-many",
		["P3", "P4"],
		"many streams on one channel: one lane, and each sees everything once",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const engine = startEngine(bench);
				const streams = await Promise.all(upTo(20).map(() => openStream(bench, engine, [channel])));
				assert.equal(engine.lanes, 1);
				await send(bench.transport, channel, ...upTo(5));
				for (const stream of streams) assert.deepEqual(await stream.shown(5), upTo(5));
			}),
	),
	defineCase(
		"stream-resume",
		["P2", "P3", "P4"],
		"from every cursor it was given, a stream resumes gaplessly, in order, once",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const before = startEngine(bench);
				const first = await openStream(bench, before, [channel]);
				await send(bench.transport, channel, ...upTo(6));
				await first.shown(6);
				before.close();
				await send(bench.transport, channel, ...upTo(4, 7));
				await settled(bench, channel, 10);
				const engine = startEngine(bench);
				for (const { cursor, n } of first.told) {
					const seen = typeof n === "number" ? n : 0;
					const resumed = await openStream(bench, engine, [channel], { cursor: cursor as string });
					assert.deepEqual(await resumed.shown(10 - seen), upTo(10 - seen, seen + 1), `after ${seen}`);
					assert.deepEqual(resumed.marks(), []);
					resumed.close();
				}
			}),
	),
	defineCase(
		"stream-broken",
		["P2", "P3", "P4"],
		"cut and resumed at random while it is published to: everything, in order, once",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const total = Math.min(60, harness.limits.eventsPerChannel ?? 60);
				const random = createRandom(SEED);
				const engine = startEngine(bench);
				let stream = await openStream(bench, engine, [channel]);
				const publishing = (async () => {
					for (let n = 1; n <= total; n += 5)
						await send(bench.transport, channel, ...upTo(Math.min(5, total - n + 1), n));
				})();
				const seen: unknown[] = [];
				while (seen.length < total) {
					const take = Math.min(1 + (random() % 7), total - seen.length);
					await stream.shown(take);
					stream.close();
					seen.push(...stream.numbers());
					assert.deepEqual(stream.marks(), [], `seed ${SEED}`);
					stream = await openStream(bench, engine, [channel], { cursor: stream.cursor });
				}
				await publishing;
				assert.deepEqual(seen, upTo(total), `seed ${SEED}`);
			}),
	),
	defineCase(
		"stream-channels",
		["P2", "P4", "P5"],
		"several channels in one stream: each in its order, resumed by one cursor",
		(harness) =>
			onBench(harness, async (bench) => {
				const [a, b, other] = [bench.channel("a"), bench.channel("b"), bench.channel("other")];
				const engine = startEngine(bench);
				const stream = await openStream(bench, engine, [a, b]);
				await send(bench.transport, other, 999);
				await send(bench.transport, a, ...upTo(3));
				await send(bench.transport, b, ...upTo(3, 101));
				await stream.shown(6);
				stream.close();
				await send(bench.transport, a, 4);
				await send(bench.transport, b, 104);
				const resumed = await openStream(bench, engine, [b, a], { cursor: stream.cursor });
				await resumed.shown(2);
				const seen = [...stream.numbers(), ...resumed.numbers()] as number[];
				assert.deepEqual(
					seen.filter((n) => n < 100),
					upTo(4),
				);
				assert.deepEqual(
					seen.filter((n) => n > 100),
					upTo(4, 101),
				);
				assert.deepEqual([...stream.marks(), ...resumed.marks()], []);
			}),
	),
	defineCase(
		"cursor-foreign",
		["P3", "P5"],
		"a cursor of another channel shows nothing of it, and is told",
		(harness) =>
			onBench(harness, async (bench) => {
				const [secret, own] = [bench.channel("secret"), bench.channel("own")];
				const engine = startEngine(bench);
				const theirs = await openStream(bench, engine, [secret]);
				await send(bench.transport, secret, 1, 2);
				await theirs.shown(2);
				for (const { cursor } of theirs.told) {
					const stream = await openStream(bench, engine, [own], { cursor: cursor as string });
					assert.deepEqual(await stream.marked(), ["gap"]);
					await send(bench.transport, own, 9);
					assert.deepEqual(await stream.shown(1), [9]);
					stream.close();
				}
			}),
	),
	defineCase(
		"cursor-malformed",
		["P3", "P5"],
		"a cursor that is none is told, and the stream goes on from now",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const engine = startEngine(bench);
				await send(bench.transport, channel, 1);
				await settled(bench, channel, 1);
				for (const [n, cursor] of ["", "nonsense", "2", "1short", `1${"A".repeat(24 * (MAX_LANES + 1))}`].entries()) {
					const stream = await openStream(bench, engine, [channel], { cursor });
					assert.deepEqual(await stream.marked(), ["gap"]);
					await send(bench.transport, channel, n + 2);
					assert.deepEqual(await stream.shown(1), [n + 2]);
					stream.close();
				}
			}),
	),
	defineCase("cursor-since", ["P5"], "a cursor reaches nothing from before the authorisation", (harness) =>
		onBench(harness, async (bench) => {
			const channel = bench.channel("a");
			const engine = startEngine(bench);
			const first = await openStream(bench, engine, [channel]);
			await send(bench.transport, channel, 1, 2);
			await first.shown(2);
			const sinceMs = Date.now() + 1;
			while (Date.now() < sinceMs) await new Promise((resolve) => setImmediate(resolve));
			await send(bench.transport, channel, 3);
			await first.shown(3);
			const cursor = first.told[0]?.cursor as string;
			const later = await openStream(bench, engine, [channel], { cursor, sinceMs });
			assert.deepEqual(await later.shown(1), [3]);
		}),
	),
	defineCase(
		"cursor-retention",
		["P3"],
		"a cursor whose successors are gone is told, and the stream goes on",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const engine = startEngine(bench);
				const first = await openStream(bench, engine, [channel]);
				await send(bench.transport, channel, 1, 2);
				await first.shown(2);
				engine.close();
				const cursor = first.told[0]?.cursor as string;
				await loseOldest(bench, channel, 3);
				const stream = await openStream(bench, startEngine(bench), [channel], { cursor });
				assert.deepEqual(await stream.marked(), ["retention"]);
				await send(bench.transport, channel, 999);
				const count = stream.numbers().length;
				const seen = await stream.shown(count + (stream.numbers().includes(999) ? 0 : 1));
				assert.ok(!seen.includes(1) && new Set(seen).size === seen.length);
			}),
		cannotForget,
	),
	defineCase(
		"cursor-reset",
		["P3"],
		"a cursor of a log that lost its past is told `epoch`, and the stream sees the new log",
		(harness) =>
			onBench(harness, async (bench) => {
				const channel = bench.channel("a");
				const engine = startEngine(bench);
				const first = await openStream(bench, engine, [channel]);
				await send(bench.transport, channel, 1, 2);
				await first.shown(2);
				engine.close();
				await harness.reset?.(channel);
				await send(bench.transport, channel, 3);
				await settled(bench, channel, 1);
				const stream = await openStream(bench, startEngine(bench), [channel], { cursor: first.cursor });
				assert.deepEqual(await stream.shown(1), [3]);
				assert.deepEqual(stream.marks(), ["epoch"]);
			}),
		cannotReset,
	),
];
