/** Deliver against its function's time, on a clock that the test moves: stuck connections, and throttled posts. */
import { expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { pause } from "../../../../../lambda/layer/src/core/clock.ts";
import { encodeEnvelope } from "../../../../../lambda/layer/src/core/envelope.ts";
import { createFakeClock, type FakeClock } from "../../../../../lambda/layer/src/testing/fake-clock.ts";
import { type DeliverPorts, deliver } from "../../../../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { createDetour, DETOUR_RECEIVES } from "../../../../../lambda/layer/src/transports/aws/cell/detour.ts";
import { groupOf } from "../../../../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import type { Poster } from "../../../../../lambda/layer/src/transports/aws/cell/poster.ts";
import { createPostRound } from "../../../../../lambda/layer/src/transports/aws/cell/round.ts";
import { announcedSeed, createRandom } from "../../../../support/random.ts";

const TIMEOUT_MS = 20_000;
const channel = createChannel("topic", "news");
const random = createRandom(announcedSeed("aws-deliver"));
const named = (name: string) => Object.assign(new Error(name), { name });
const unavailable = () => Object.assign(new Error("503"), { name: "Unknown", $metadata: { httpStatusCode: 503 } });
const stuck = () => new Promise<never>(() => {});
const idsOf = (count: number) => Array.from({ length: count }, (_, n) => `c${n}`);

const body = encodeEnvelope({
	v: 1,
	id: "e1",
	channel,
	message: { jsonrpc: "2.0", method: "notifications/message" },
	publishedAt: 1,
	origin: "test",
	lanes: ["aws"],
});
const record = {
	messageId: "m1",
	body,
	group: groupOf(channel.key),
	channel: channel.key,
	via: [],
	receipt: "r",
	receives: 1,
};

function portsOf(clock: FakeClock, followers: readonly string[], poster: Partial<Poster>) {
	const removed: string[] = [];
	const ports: DeliverPorts = {
		clock,
		random: () => random.below(1_000_000) / 1_000_000,
		round: createPostRound(clock, TIMEOUT_MS),
		report: () => {},
		poster: { post: async () => {}, close: async () => {}, ...poster },
		connections: {
			of: async () => ({
				followers: followers.map((id) => ({ id, api: "backend" as const, isExpired: false })),
				shards: [],
			}),
			remove: async (id) => void removed.push(id),
		},
		log: {
			append: async (_key, items) =>
				items.map(({ text }, index) => ({
					position: { epoch: "0000abcd", offset: index + 1 },
					prev: { epoch: "0000abcd", offset: index },
					text,
					appended: true,
				})) as unknown as Awaited<ReturnType<DeliverPorts["log"]["append"]>>,
		},
		forward: { region: "us-east-1", home: { look: async () => undefined }, sendTo: async () => [] },
		detour: createDetour(clock, async () => []),
		keepError: async () => {},
		postpone: async () => {},
		sendShards: async () => [],
	};
	return { ports, removed };
}

/** The result, and how long it took: undefined when it is not there by the function's timeout. */
async function within(clock: FakeClock, ports: DeliverPorts) {
	let result: { tally: Awaited<ReturnType<typeof deliver>>; tookMs: number } | undefined;
	deliver(ports, [record]).then((tally) => {
		result = { tally, tookMs: clock.monotonic() };
	});
	for (let ms = 0; ms < TIMEOUT_MS && result === undefined; ms += 100) await clock.advance(100);
	return result;
}

it("acknowledges before its function's timeout, however many connections are stuck, and says how many were left", async () => {
	for (const canClose of [true, false]) {
		const clock = createFakeClock();
		const { ports } = portsOf(clock, idsOf(1_000), { post: stuck, ...(canClose ? {} : { close: stuck }) });
		const result = await within(clock, ports);
		expect(result?.tookMs).toBeLessThanOrEqual(TIMEOUT_MS - 2_000);
		expect(result?.tally).toMatchObject({ failed: [], appended: 1, posts: 0 });
		const { ended = 0, unposted = 0 } = result?.tally ?? {};
		expect([ended > 0, unposted > 0, ended + unposted]).toEqual([canClose, true, 1_000]);
		expect(clock.waiting).toBe(0);
	}
});

it("posts in another order each time: whoever was left out is not left out for ever", async () => {
	const firsts = new Set<string>();
	for (let round = 0; round < 8; round += 1) {
		const order: string[] = [];
		const clock = createFakeClock();
		const post: Poster["post"] = async ({ id }) => void order.push(id);
		await within(clock, portsOf(clock, idsOf(200), { post }).ports);
		expect(new Set(order).size).toBe(200);
		firsts.add(order[0] ?? "none");
	}
	expect(firsts.size).toBeGreaterThan(2);
});

it("closes nobody in a burst over the account's limit, and serves all once it is over", async () => {
	const clock = createFakeClock();
	const closed: string[] = [];
	const post = async () => {
		if (clock.monotonic() < 1_000) throw named("LimitExceededException");
	};
	const { ports, removed } = portsOf(clock, idsOf(50), { post, close: async ({ id }) => void closed.push(id) });
	expect((await within(clock, ports))?.tally).toMatchObject({ posts: 50, ended: 0, unposted: 0 });
	expect([closed, removed]).toEqual([[], []]);
});

it("closes nobody while API Gateway itself fails for a moment, and serves all once it is back [P7]", async () => {
	for (const followers of [1, 50]) {
		const clock = createFakeClock();
		const closed: string[] = [];
		const post = async () => {
			if (clock.monotonic() < 1_000) throw unavailable();
		};
		const close: Poster["close"] = async ({ id }) => void closed.push(id);
		const { ports, removed } = portsOf(clock, idsOf(followers), { post, close });
		expect((await within(clock, ports))?.tally).toMatchObject({ posts: followers, ended: 0, unposted: 0 });
		expect([closed, removed]).toEqual([[], []]);
	}
});

it("closes nobody while API Gateway fails for longer than its time", async () => {
	const clock = createFakeClock();
	const { ports, removed } = portsOf(clock, idsOf(40), { post: () => Promise.reject(unavailable()) });
	expect((await within(clock, ports))?.tally).toMatchObject({ failed: [], ended: 0, unposted: 40 });
	expect(removed).toEqual([]);
});

it("forgets nobody whom it could not close: they are connected still, and would hear nothing more [P3] [P7]", async () => {
	// The @connections address cannot be reached, or this function may not use it: posts and closes fail alike.
	const refused = () => Promise.reject(named("ForbiddenException"));
	const clock = createFakeClock();
	const { ports, removed } = portsOf(clock, idsOf(3), { post: refused, close: refused });
	expect((await within(clock, ports))?.tally).toMatchObject({ failed: [], ended: 0, unposted: 3 });
	expect(removed).toEqual([]);
});

it("closes nobody while throttles last longer than its time, or fall on one in two", async () => {
	for (const share of [1, 2]) {
		const clock = createFakeClock();
		const post: Poster["post"] = async ({ id }) => {
			if (Number(id.slice(1)) % share === 0) throw named("LimitExceededException");
		};
		const { ports, removed } = portsOf(clock, idsOf(40), { post });
		const result = await within(clock, ports);
		expect(result?.tally).toMatchObject({ failed: [], ended: 0, unposted: 40 / share, posts: 40 - 40 / share });
		expect(removed).toEqual([]);
	}
});

it("ends the one connection that is throttled while all others are served, as a slow consumer", async () => {
	const clock = createFakeClock();
	const told: string[] = [];
	const post: Poster["post"] = async ({ id }, frame) => {
		if (frame.includes('"end"')) told.push(`${id} ${frame}`);
		else if (id === "c7") throw named("LimitExceededException");
	};
	const { ports, removed } = portsOf(clock, idsOf(20), { post });
	expect((await within(clock, ports))?.tally).toMatchObject({ posts: 19, ended: 1, unposted: 0 });
	expect(told).toEqual(['c7 {"t":"end","reason":"slow-consumer"}']);
	expect(removed).toEqual(["c7"]);
});

it("puts a group back in time when its log does not answer", async () => {
	const clock = createFakeClock();
	const { ports } = portsOf(clock, [], {});
	const result = await within(clock, { ...ports, log: { append: stuck }, postpone: stuck });
	expect(result?.tally.failed).toEqual(["m1"]);
	expect(result?.tookMs).toBeLessThan(TIMEOUT_MS);
});

it("[P2] [P4] lets go of an append that its time is over for: what goes on would append behind the batch that comes again", async () => {
	const clock = createFakeClock();
	const { ports } = portsOf(clock, [], {});
	let given: AbortSignal | undefined;
	const append: DeliverPorts["log"]["append"] = (_key, _items, signal) => {
		given = signal;
		return stuck();
	};
	const result = await within(clock, { ...ports, log: { append } });
	expect(result?.tally).toMatchObject({ failed: ["m1"], appended: 0 });
	expect(given?.aborted).toBe(true);
});

it.each(["takes it late", "fails late"])(
	"[P2] [P4] sends nothing on, nor round, once its time is over, behind what its group's next try sends: the mailbox %s",
	async (outcome) => {
		const clock = createFakeClock();
		const { ports } = portsOf(clock, [], {});
		const session = createChannel("session", "s1").key;
		const own = { ...record, group: groupOf(session), channel: session, receives: DETOUR_RECEIVES };
		const sent: unknown[] = [];
		const forward: DeliverPorts["forward"] = {
			region: "us-east-1",
			home: { look: async () => ({ region: "eu-west-1", counter: 1, expiresAt: 0, ownCounter: 0 }) },
			async sendTo(_region, messages) {
				sent.push(...messages);
				await pause(clock, TIMEOUT_MS);
				if (outcome === "fails late") throw new Error(outcome);
				return [];
			},
		};
		const detour = createDetour(clock, async (messages) => {
			sent.push(...messages);
			return [];
		});
		const delivering = deliver({ ...ports, forward, detour }, [own, { ...own, messageId: "m2" }]);
		await clock.advance(TIMEOUT_MS);
		expect((await delivering).failed).toEqual(["m1", "m2"]);
		await clock.advance(TIMEOUT_MS);
		expect(sent).toHaveLength(1);
	},
);

it("acknowledges before its function's timeout, though those whose tickets ended hang at the end of its time", async () => {
	const clock = createFakeClock();
	const { ports } = portsOf(clock, [], { post: stuck, close: stuck });
	const followers = idsOf(10).map((id) => ({ id, api: "client" as const, isExpired: true }));
	const connections: DeliverPorts["connections"] = {
		async of() {
			await pause(clock, ports.round.left() - 1_000);
			return { followers, shards: [] };
		},
		remove: stuck,
	};
	const result = await within(clock, { ...ports, connections });
	expect(result?.tally).toMatchObject({ failed: [], appended: 1, ended: 0, unposted: 10 });
	expect(result?.tookMs).toBeLessThanOrEqual(TIMEOUT_MS - 2_000);
});
