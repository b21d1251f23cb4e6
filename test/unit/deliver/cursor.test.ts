import { expect, test } from "vitest";
import { MAX_LANES, NO_LANES } from "../../../lambda/layer/src/core/cursor.ts";
import { createRandom } from "../../support/random.ts";
import { Client, World } from "./world.ts";

async function opened(names: readonly string[]) {
	const world = new World(createRandom(3), { instances: 1, transports: ["fake"], eager: true });
	const [broker] = world.brokers as [(typeof world.brokers)[number]];
	const channels = names.map((name) => world.channel(name));
	const engines = world.engines[0] ?? [];
	const publish = (name: string, count: number) => {
		for (let n = 0; n < count; n += 1) broker.append(world.envelope(world.channel(name), ["fake"]));
	};
	const client = async (cursor: string | undefined, on = channels, sinceMs?: number) => {
		const one = new Client();
		one.cursor = cursor;
		one.connect(engines, world.clock, on, sinceMs);
		await world.clock.advance(100);
		return one;
	};
	return { world, publish, client, channels };
}

test("[P3] a resume is gapless without a mark, also for what was published while nobody followed", async () => {
	const { world, publish, client, channels } = await opened(["a"]);
	const first = await client(undefined);
	publish("a", 3);
	await world.clock.advance(10);
	first.kill();
	publish("a", 20);
	await world.clock.advance(20_000);
	const again = await client(first.cursor);
	expect(again.numbers(channels[0] as never)).toEqual(Array.from({ length: 20 }, (_value, index) => index + 4));
	expect(again.marks).toEqual([]);
});

test.each([
	["malformed", "not a cursor"],
	["of another version", "2AAAA"],
	["cut short", "1AAAAAAAAAAAAAAAAAAAAAAA"],
	["too long", `1${"A".repeat(24 * (MAX_LANES + 1))}`],
])("[P5] a cursor that is %s is told as a gap, and the stream goes on from now", async (_what, cursor) => {
	const { world, publish, client, channels } = await opened(["a"]);
	publish("a", 5);
	const one = await client(cursor);
	expect(one.marks).toEqual(["gap"]);
	publish("a", 1);
	await world.clock.advance(10);
	expect(one.numbers(channels[0] as never)).toEqual([6]);
});

test("[P5] another session's cursor is told as a gap and reads neither log", async () => {
	const { world, publish, client } = await opened(["a"]);
	publish("mine", 5);
	publish("theirs", 5);
	const theirs = await client(undefined, [world.channel("theirs")]);
	const mine = await client(theirs.cursor, [world.channel("mine")]);
	expect(mine.marks).toEqual(["gap"]);
	expect(mine.seen).toEqual([{ mark: "gap" }]);
});

test("[P5] a cursor of another filter keeps the lanes that both follow and is told of the rest", async () => {
	const { world, publish, client } = await opened(["a"]);
	const [a, b, c] = ["a", "b", "c"].map((name) => world.channel(name)) as [never, never, never];
	const first = await client(undefined, [a, b]);
	first.kill();
	publish("a", 2);
	publish("c", 2);
	const other = await client(first.cursor, [a, c]);
	expect(other.numbers(a)).toEqual([1, 2]);
	expect(other.numbers(c)).toEqual([]);
	expect(other.marks).toEqual(["gap"]);
});

test("[P5] a cursor never reaches behind the authorisation", async () => {
	const { world, publish, client, channels } = await opened(["a"]);
	const first = await client(undefined);
	first.kill();
	publish("a", 3);
	await world.clock.advance(1_000);
	const since = world.clock.now();
	publish("a", 2);
	const again = await client(first.cursor, channels, since);
	expect(again.numbers(channels[0] as never)).toEqual([4, 5]);
});

test("[P3] a made-up position after the end is told as another epoch, and the stream goes on", async () => {
	const { world, publish, client, channels } = await opened(["a"]);
	publish("a", 2);
	const first = await client(undefined);
	const bytes = Buffer.from((first.cursor as string).slice(1), "base64url");
	bytes.writeUIntBE(1_000_000, 12, 6);
	const forged = await client(`${NO_LANES}${bytes.toString("base64url")}`);
	await world.clock.advance(3_000);
	expect(forged.marks).toEqual(["epoch"]);
	publish("a", 1);
	await world.clock.advance(10);
	expect(forged.numbers(channels[0] as never)).toEqual([3]);
});

test("[P5] channels added later start at now, removed ones are silent, and the cursor follows", async () => {
	const { world, publish, client } = await opened(["a"]);
	const b = world.channel("b");
	publish("b", 3);
	const one = await client(undefined);
	const adding = one.feed.add(b);
	await world.clock.advance(10);
	await adding;
	publish("b", 2);
	await world.clock.advance(10);
	expect(one.numbers(b)).toEqual([4, 5]);
	one.feed.remove(b);
	publish("b", 2);
	await world.clock.advance(10);
	expect(one.numbers(b)).toEqual([4, 5]);
	expect(one.cursor).toHaveLength(1 + 24);
	expect(() =>
		one.connect(
			world.engines[0] ?? [],
			world.clock,
			Array.from({ length: MAX_LANES + 1 }, (_v, n) => world.channel(`${n}`)),
		),
	).toThrow(expect.objectContaining({ code: "TooManyChannels" }));
});

test("[P6] a replay waits for room: a reader that does not read holds one page, not the log, and is shown no more of it than it takes", async () => {
	const { world, publish, client, channels } = await opened(["a"]);
	const first = await client(undefined);
	first.kill();
	publish("a", 200);
	await world.clock.advance(20_000);
	let room = 0;
	let free: () => void = () => {};
	const blocked = new Client();
	blocked.cursor = first.cursor;
	blocked.room = () => {
		if (blocked.seen.length < room) return undefined;
		return new Promise((resolve) => {
			free = resolve;
		});
	};
	blocked.connect(world.engines[0] ?? [], world.clock, channels);
	await world.clock.advance(5_000);
	expect(blocked.seen).toEqual([]);
	for (room of [3, 5, 7]) {
		free();
		await world.clock.advance(5_000);
		expect(blocked.numbers(channels[0] as never)).toEqual([1, 2, 3, 4, 5, 6, 7].slice(0, room));
	}
});

test("[P3] a channel that is removed before the stream opened gives no cursor without places", async () => {
	const { world, publish, client, channels } = await opened(["a", "b"]);
	const one = await client(undefined);
	one.kill();
	const { cursor } = one;
	publish("a", 3);
	one.connect(world.engines[0] ?? [], world.clock, channels);
	one.feed.remove(channels[1] as never);
	expect(one.cursor).toBe(cursor);
	await world.clock.advance(1_000);
	expect([one.numbers(channels[0] as never), one.cursor?.length, one.marks]).toEqual([[1, 2, 3], 25, []]);
});

test.each(["2026-01-01T00:00:00Z", Number.NaN, {}])("[P5] %j is no time to authorise from", async (sinceMs) => {
	const { world, channels } = await opened(["a"]);
	const connect = () => new Client().connect(world.engines[0] ?? [], world.clock, channels, sinceMs as number);
	expect(connect).toThrow(expect.objectContaining({ code: "InvalidCursor" }));
});
