/** A shard's worker against its part of the budget and its function's time, on a clock that the test moves. */
import { expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { createFakeClock, type FakeClock } from "../../../../../lambda/layer/src/testing/fake-clock.ts";
import type { Poster } from "../../../../../lambda/layer/src/transports/aws/cell/poster.ts";
import { createPostRound } from "../../../../../lambda/layer/src/transports/aws/cell/round.ts";
import { shardMessage } from "../../../../../lambda/layer/src/transports/aws/cell/shard.ts";
import { deliverShards, type ShardPorts } from "../../../../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import { announcedSeed, createRandom } from "../../../../support/random.ts";

const TIMEOUT_MS = 30_000;
const EPOCH = "0000abcd";
const channel = createChannel("topic", "news").key;
const random = createRandom(announcedSeed("aws-shard-worker"));
const positionAt = (offset: number) => ({ epoch: EPOCH, offset: offset });

const recordOf = (from: number, to: number) => {
	const message = shardMessage({ channel, shard: 0, from: positionAt(from), to: positionAt(to) });
	const { MessageBody: body, MessageGroupId: group } = message;
	return { messageId: `m${to}`, body, group, channel, receipt: "r", receives: 1 };
};

function portsOf(clock: FakeClock, followers: number, perSecond: number, poster: Partial<Poster> = {}) {
	const postedAt: number[] = [];
	const marks: number[] = [];
	const post: Poster["post"] = async (...args) => {
		postedAt.push(clock.monotonic());
		await poster.post?.(...args);
	};
	const ports: ShardPorts = {
		clock,
		random: () => random.next(),
		round: createPostRound(clock, TIMEOUT_MS, perSecond),
		report: () => {},
		poster: { close: async () => {}, ...poster, post },
		connections: {
			ofShard: async () =>
				Array.from({ length: followers }, (_, n) => ({ id: `c${n}`, api: "client" as const, isExpired: false })),
			posted: async () => undefined,
			markPosted: async (_key, _shard, { offset }) => void marks.push(offset),
			remove: async () => {},
		},
		log: {
			rows: async () => ({
				entries: [{ position: positionAt(1), prev: positionAt(0), text: '{"a":1}' }],
				more: false,
				verdict: "whole",
			}),
		},
		keepError: async () => {},
		postpone: async () => {},
	};
	return { ports, postedAt, marks };
}

/** The result, and how long it took: undefined when it is not there by the function's timeout. */
async function within(clock: FakeClock, ports: ShardPorts) {
	let result: { tally: Awaited<ReturnType<typeof deliverShards>>; tookMs: number } | undefined;
	deliverShards(ports, [recordOf(0, 1)]).then((tally) => {
		result = { tally, tookMs: clock.monotonic() };
	});
	for (let ms = 0; ms < TIMEOUT_MS && result === undefined; ms += 10) await clock.advance(10);
	return result;
}

it("posts no faster than its part of the budget, and no slower", async () => {
	const clock = createFakeClock();
	const { ports, postedAt } = portsOf(clock, 1_000, 200);
	const result = await within(clock, ports);
	expect(result?.tally).toMatchObject({ posts: 1_000, unposted: 0, failed: [] });
	const inOneSecond = Array.from({ length: 5 }, (_, n) => postedAt.filter((at) => Math.floor(at / 1000) === n).length);
	expect(inOneSecond).toEqual([200, 200, 200, 200, 200]);
});

it("counts its repetitions of a throttled post too", async () => {
	const clock = createFakeClock();
	const throttle = async () => {
		throw Object.assign(new Error("429"), { name: "LimitExceededException" });
	};
	const { ports, postedAt } = portsOf(clock, 500, 100, { post: throttle });
	await within(clock, ports);
	const seconds = Map.groupBy(postedAt, (at) => Math.floor(at / 1000));
	expect(seconds.size).toBeGreaterThan(5);
	for (const [second, posts] of seconds) expect(posts.length, `second ${second}`).toBeLessThanOrEqual(101);
});

it("ends with its function's time when a shard is larger than that: it says how many were left, and goes on", async () => {
	const clock = createFakeClock();
	const { ports, marks } = portsOf(clock, 10_000, 100);
	const result = await within(clock, ports);
	expect(result?.tookMs).toBeLessThanOrEqual(TIMEOUT_MS - 2_000);
	const { posts = 0, unposted = 0, failed } = result?.tally ?? {};
	expect([posts > 2_500, posts + unposted, failed]).toEqual([true, 10_000, []]);
	// Those find it in the log; what comes next must not wait for them.
	expect(marks).toEqual([1]);
	expect(clock.waiting).toBe(0);
});

it("takes a slow rate as it is, and still ends in time", async () => {
	const clock = createFakeClock();
	const { ports } = portsOf(clock, 64, 1);
	const result = await within(clock, ports);
	expect(result?.tookMs).toBeLessThanOrEqual(TIMEOUT_MS - 2_000);
	expect([(result?.tally.posts ?? 0) > 20, (result?.tally.unposted ?? 0) > 20]).toEqual([true, true]);
});

it("puts back its message in time when the tables do not answer, and all after it", async () => {
	const clock = createFakeClock();
	const { ports } = portsOf(clock, 1, 100);
	const seconds: number[] = [];
	const hanging = {
		...ports,
		log: { rows: () => new Promise<never>(() => {}) },
		postpone: async (_records: unknown, after: number) => void seconds.push(after),
	};
	let result: Awaited<ReturnType<typeof deliverShards>> | undefined;
	deliverShards(hanging, [recordOf(0, 1), recordOf(1, 2)]).then((tally) => {
		result = tally;
	});
	for (let ms = 0; ms < TIMEOUT_MS && result === undefined; ms += 100) await clock.advance(100);
	expect([result?.failed, seconds]).toEqual([["m1", "m2"], [1]]);
});
