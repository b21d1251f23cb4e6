/** Shards without AWS: which connections they take, what a message of theirs names, and what is none. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { formatPosition } from "../../../../../lambda/layer/src/core/position.ts";
import { groupOf } from "../../../../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import {
	entryBytes,
	isSharded,
	readShardMail,
	runsOf,
	SHARDS,
	shardKeyOf,
	shardMessage,
	shardOf,
} from "../../../../../lambda/layer/src/transports/aws/cell/shard.ts";
import { encodeEntries, MAX_SERVER_FRAME_BYTES } from "../../../../../lambda/layer/src/transports/aws/wire.ts";
import { announcedSeed } from "../../../../support/random.ts";

const seed = announcedSeed("aws-shard");
const channel = createChannel("topic", "news").key;
const EPOCHS = ["0000abcd", "0000beef"];

const rowAt = (epoch: string, offset: number, bytes: number) => ({
	position: { epoch, offset: offset },
	prev: { epoch, offset: offset - 1 },
	text: JSON.stringify("x".repeat(bytes)),
});
const rows = fc
	.uniqueArray(
		fc.record({
			epoch: fc.constantFrom(...EPOCHS),
			offset: fc.integer({ min: 1, max: 40 }),
			bytes: fc.constantFrom(1, 900, 60_000, 119_000),
		}),
		{ selector: ({ epoch, offset }) => `${epoch}.${offset}`, maxLength: 12 },
	)
	.map((all) => all.map(({ epoch, offset, bytes }) => rowAt(epoch, offset, bytes)));

describe("the end clients of a broadcast channel", () => {
	it("are those of topics and of `all`; back ends and everything else are posted to inline", () => {
		const [topic, all] = [channel, createChannel("all", "").key];
		const others = (["session", "principal", "instance"] as const).map((kind) => createChannel(kind, "x").key);
		expect([topic, all].map((key) => isSharded("client", key))).toEqual([true, true]);
		expect(others.some((key) => isSharded("client", key))).toBe(false);
		expect([topic, all, ...others].some((key) => isSharded("backend", key))).toBe(false);
	});

	it("fall into every shard in like numbers, each into the same one always", () => {
		// As API Gateway spells connection ids.
		const ids = Array.from({ length: 16_000 }, (_, n) => `${Buffer.from(`id ${n}`).toString("base64")}=`);
		const counts = new Array<number>(SHARDS).fill(0);
		for (const id of ids) {
			counts[shardOf(id)] = (counts[shardOf(id)] ?? 0) + 1;
			expect(shardOf(id)).toBe(shardOf(id));
		}
		expect(Math.min(...counts)).toBeGreaterThan(850);
		expect(Math.max(...counts)).toBeLessThan(1_150);
	});
});

describe("a shard's messages", () => {
	it("name every row once, in order, in runs without holes that each fit one frame", () => {
		fc.assert(
			fc.property(rows, (appended) => {
				const runs = runsOf(appended);
				const named = runs.flatMap(({ from, to }) => {
					expect(from.epoch).toBe(to.epoch);
					const length = to.offset - from.offset;
					const offsets = Array.from({ length }, (_, n) => from.offset + 1 + n);
					const run = offsets.map((offset) => formatPosition({ epoch: to.epoch, offset }));
					const held = appended.filter(({ position }) => run.includes(formatPosition(position)));
					expect(held).toHaveLength(length);
					expect(encodeEntries(channel, held)).toHaveLength(1);
					return run;
				});
				expect([...named].sort()).toEqual(appended.map(({ position }) => formatPosition(position)).sort());
				for (const epoch of EPOCHS) {
					const offsets = named.filter((text) => text.startsWith(epoch)).map((text) => Number(text.split(".")[1]));
					expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
				}
			}),
			{ seed },
		);
	});

	it("count an entry for no less than it takes in a frame", () => {
		const row = rowAt("0000abcd", 2 ** 47, 10);
		const [alone = "", empty = ""] = [
			...encodeEntries(channel, [row]),
			`{"t":"entries","channel":"${channel}","entries":[`,
		];
		expect(entryBytes(row)).toBeGreaterThanOrEqual(Buffer.byteLength(alone) - Buffer.byteLength(empty));
		expect(MAX_SERVER_FRAME_BYTES).toBeGreaterThan(0);
	});

	it("are read as they were written, in their own group only, and are the same message for the same run", () => {
		const runs = rows.filter((all) => all.length > 0).map((all) => runsOf(all)[0] as ReturnType<typeof runsOf>[number]);
		fc.assert(
			fc.property(runs, fc.nat(SHARDS - 1), ({ from, to }, shard) => {
				const message = shardMessage({ channel, shard, from, to });
				expect(message.MessageGroupId).toMatch(/^[\w-]{43}$/);
				expect(message.MessageDeduplicationId).toMatch(/^[\w.-]{1,128}$/);
				expect(readShardMail(message.MessageBody, message.MessageGroupId)).toEqual({ channel, shard, from, to });
				expect(shardMessage({ channel, shard, from, to })).toEqual(message);
				const other = groupOf(shardKeyOf(channel, (shard + 1) % SHARDS));
				expect(() => readShardMail(message.MessageBody, other)).toThrow("in another group");
			}),
			{ seed },
		);
	});

	it("throw one of the package's errors for whatever else they say", () => {
		fc.assert(
			fc.property(fc.oneof(fc.json(), fc.string()), (body) => {
				expect(() => readShardMail(body, groupOf(channel))).toThrow(
					expect.objectContaining({ code: expect.stringMatching(/^(InvalidMessage|UnknownEnvelopeVersion)$/) }),
				);
			}),
			{ seed },
		);
	});
});
