import fc from "fast-check";
import { expect, test } from "vitest";
import { type Assembled, createAssembly } from "../../lambda/layer/src/assembly.ts";
import { type FanoutOptions, resolveOptions } from "../../lambda/layer/src/config/options.ts";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import type { Feed, OpenFeed, Sink } from "../../lambda/layer/src/core/client-feed.ts";
import type { Clock } from "../../lambda/layer/src/core/clock.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { openFeed } from "../../lambda/layer/src/deliver/feed.ts";
import { createFollowing } from "../../lambda/layer/src/following.ts";
import { FakeBroker, NO_FAULTS } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { TRANSPORTS } from "../../lambda/layer/src/transports/registry.ts";
import { announcedSeed, createRandom } from "../support/random.ts";
import { Client, World } from "./deliver/world.ts";
import { DEDUP_MS, numberOf, unreliable } from "./publish/outbox-world.ts";

const seed = announcedSeed("reload.property");

/** What a file may say: other rules, other settings of a transport, one more, one less, and what is refused. */
const CONFIGURATIONS: readonly FanoutOptions[] = [
	{ nats: {}, breaker: {} },
	{ nats: { streamName: "other" }, timeoutMs: 3_000 },
	{ nats: {}, redis: {}, routing: { rules: [{ condition: "always", targets: ["nats"] }] } },
	{ nats: {}, redis: {}, routing: { rules: [{ condition: "always", targets: ["redis"] }] } },
	{ nats: {}, redis: {}, outbox: { maxAgeMs: 300_000 } },
	{ redis: {}, breaker: { openMs: 5_000, windowMs: 20_000, consecutiveFailures: 2 } },
	{ local: {}, nats: {}, redis: {}, routing: { rules: [{ condition: { type: "*/x" }, targets: ["redis", "nats"] }] } },
	{ nats: {}, routing: { rules: [{ condition: "always", targets: ["nonesuch"] }] } },
];
const REFUSED = CONFIGURATIONS.length - 1;
const MAX_TIMEOUT_MS = 5_000;

const chance = fc.constantFrom(0, 0, 0, 0.5, 1);
const faults = fc.record({ refuse: chance, uncertain: chance, partial: chance, lose: fc.constantFrom(0, 0.3) });
const step = fc.record({
	count: fc.nat(4),
	/** What another process publishes, to redis and nats: there it comes first. */
	elsewhere: fc.constantFrom(0, 0, 1, 2),
	method: fc.constantFrom("a/x", "a/y"),
	wait: fc.constantFrom(0, 0, 1, 200, 3_000, 6_000, 31_000),
	nats: faults,
	redis: faults,
	hang: chance,
	/** To which configuration; whether its transports start; and whether the reload is given up meanwhile. */
	reload: fc.option(fc.nat(REFUSED), { nil: undefined, freq: 2 }),
	start: fc.constantFrom("starts" as const, "starts" as const, "starts" as const, "fails" as const, "hangs" as const),
	isGivenUp: fc.constantFrom(false, false, false, true),
});

/** A client that comes back with its cursor whenever its stream ends. */
class Returning {
	readonly shown: number[] = [];
	/** When something was told, or the stream ended. */
	readonly told: number[] = [];
	/** How many were shown when it ended. */
	readonly ends: number[] = [];
	#cursor: string | undefined;
	#feed: Feed | undefined;
	#isGone = false;

	connect(open: OpenFeed, channel: Channel, clock: Clock): void {
		const sink: Sink = {
			deliver: (envelope, cursor) => {
				this.shown.push(numberOf(envelope));
				this.#cursor = cursor ?? this.#cursor;
			},
			mark: (_reason, cursor) => {
				this.told.push(clock.monotonic());
				this.#cursor = cursor;
			},
			cursor: (cursor) => {
				this.#cursor = cursor;
			},
			end: () => {
				this.told.push(clock.monotonic());
				this.ends.push(this.shown.length);
				if (!this.#isGone) queueMicrotask(() => this.connect(open, channel, clock));
			},
		};
		this.#feed = open({ channels: [channel], cursor: this.#cursor }, sink);
		this.#feed.opened.catch(() => {});
	}

	early(envelope: Envelope): void {
		this.#feed?.early(envelope);
	}

	close(): void {
		this.#isGone = true;
		this.#feed?.close();
	}
}

interface Published {
	readonly lanes: readonly string[];
	readonly since: number;
	is: "" | "accepted" | "queued" | "failed" | "elsewhere";
	afterMs: number;
}

const sorted = (numbers: Iterable<number>) => [...numbers].sort((x, y) => x - y);

test("[P1] [P2] [P4] [P7] [P9] the router under failures, delays, aborts and reloads: nothing accepted is lost, reordered or shown twice, and a refused reload changes nothing", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 12, size: "max" }), fc.nat(), async (steps, run) => {
			const random = createRandom(run);
			const world = new World(random, { instances: 1, transports: ["nats", "redis"] });
			const { clock, brokers } = world;
			const [nats, redis] = brokers as [FakeBroker, FakeBroker];
			const here = new FakeBroker(random.next);
			const hang = { chance: 0 };
			const starting = { how: "starts" as (typeof steps)[number]["start"] };
			const capabilities = { batch: { count: 4, bytes: 4_096 }, dedupMs: DEDUP_MS };
			const made: { readonly transport: Transport; closed: boolean }[] = [];
			const load =
				(name: string, broker: FakeBroker, more: Partial<Transport["capabilities"]> = {}) =>
				async () => {
					const fake = createFakeTransport(broker, { name, capabilities: { ...capabilities, ...more } });
					const inner = unreliable(fake, broker, clock, () => random.next() < hang.chance);
					const { how } = starting;
					const fact = { closed: false } as { transport: Transport; closed: boolean };
					fact.transport = {
						...inner,
						async start() {
							if (how === "fails") throw new FanoutError("TransportUnavailable", "nobody there", { retryable: true });
							if (how === "hangs") await new Promise(() => {});
						},
						async close() {
							fact.closed = true;
							await inner.close();
						},
					};
					made.push(fact);
					return fact.transport;
				};
			const loaders = {
				...TRANSPORTS,
				local: load("local", here, { reach: "process" }),
				nats: load("nats", nats),
				redis: load("redis", redis),
			};
			const assembled = (index: number): Assembled => {
				const options = CONFIGURATIONS[index] as FanoutOptions;
				return { ...options, ...resolveOptions({ startTimeoutMs: 2_000, ...options, follow: true }, {}) };
			};
			let lost = 0;
			const report = (error: FanoutError) => {
				if (typeof error.data.dropped === "number") lost += error.data.dropped;
			};
			const ids = createIds(clock);
			const deps = { clock, ids, instanceId: "near", random: random.next, report, loaders };
			const assembly = await createAssembly(assembled(0), deps);
			const { outgoing } = assembly;
			const following = createFollowing({
				...{ mode: true, transports: assembly.transports, clock, random: random.next, report: () => {} },
				...{ start: assembly.start, close: assembly.leave, follower: async (transport) => transport },
				...{ opened: async () => {}, ended: async () => {} },
			});
			const { engines, feeds } = following;
			const open: OpenFeed = (request, sink) =>
				openFeed({ engines, clock, report: () => {}, open: feeds }, request, sink);
			const channel = world.channel("c");
			const near = new Returning();
			near.connect(open, channel, clock);
			const far = new Client();
			far.connect(world.engines[0] ?? [], clock, [channel]);
			await clock.settle();

			const published: Published[] = [];
			let now = 0;
			let reloading: Promise<void> | undefined;
			for (const { count, elsewhere, method, wait, reload, start, isGivenUp, ...of } of steps) {
				Object.assign(nats.faults, of.nats);
				Object.assign(redis.faults, of.redis);
				hang.chance = of.hang;
				const giveUp = new AbortController();
				if (reload !== undefined && reloading === undefined) {
					starting.how = start;
					const before = [...assembly.transports];
					reloading = assembly.exchange(assembled(reload), following, giveUp.signal).then(
						() => {
							expect(reload).not.toBe(REFUSED);
							now = reload;
							reloading = undefined;
						},
						(error) => {
							expect(["ConfigInvalid", "TransportUnavailable", "Closed", "Aborted"]).toContain(error.code);
							expect(assembly.transports).toEqual(before);
							reloading = undefined;
						},
					);
				}
				for (let at = 0; at < count; at += 1) {
					const route = outgoing.decide(channel, method, 0);
					const since = clock.monotonic();
					const fact: Published = { lanes: route.lanes, since, is: "", afterMs: Number.POSITIVE_INFINITY };
					published.push(fact);
					outgoing
						.publish(route, world.envelope(channel, route.lanes), (envelope) => near.early(envelope))
						.then((outcomes) => {
							const isQueued = outcomes.some(({ queued }) => queued);
							fact.is = outcomes.some(({ ok }) => ok) ? "accepted" : isQueued ? "queued" : "failed";
							fact.afterMs = clock.monotonic() - since;
						});
				}
				for (let at = 0; at < elsewhere; at += 1) {
					const lanes = ["redis", "nats"];
					published.push({ lanes, since: clock.monotonic(), is: "elsewhere", afterMs: 0 });
					const envelope = world.envelope(channel, lanes);
					nats.append(envelope);
					clock.after(100, () => void redis.append(envelope));
				}
				if (isGivenUp) giveUp.abort(new FanoutError("Closed", "given up"));
				await clock.advance(wait);
			}
			for (const broker of [nats, redis]) Object.assign(broker.faults, NO_FAULTS);
			hang.chance = 0;
			await clock.advance(30_000);
			expect(reloading).toBeUndefined();
			for (const { afterMs } of published) expect(afterMs).toBeLessThanOrEqual(MAX_TIMEOUT_MS);
			await clock.advance(310_000);
			await world.calm();

			// What runs is what the last reload that was not refused said.
			const names = (["local", "nats", "redis"] as const).filter((name) => CONFIGURATIONS[now]?.[name] !== undefined);
			expect(assembly.transports.map(({ name }) => name)).toEqual(names);
			expect(
				made
					.filter(({ closed }) => !closed)
					.map(({ transport }) => transport.name)
					.sort(),
			).toEqual(names.sort());
			expect(outgoing.health.map(({ breaker, outbox }) => [breaker, outbox?.envelopes])).toEqual(
				names.map(() => ["closed", 0]),
			);

			// Each lane's log: in call order, once, and only what was routed to it.
			for (const [lane, broker] of [
				["nats", nats],
				["redis", redis],
			] as const) {
				const log = (broker.log(channel)?.entries ?? []).map(({ envelope }) => envelope as Envelope);
				const numbers = log.map(numberOf);
				expect(new Set(numbers).size).toBe(numbers.length);
				const own = numbers.filter((number) => published[number - 1]?.is !== "elsewhere");
				expect(own).toEqual(sorted(own));
				for (const { lanes } of log) expect(lanes).toContain(lane);
			}
			// A stream that no reload touches, on both: each envelope once, unless its publisher was told that the lane
			// which it is shown from has lost it.
			const heard = far.numbers(channel);
			expect(heard.length).toBe(new Set(heard).size);
			expect(far.marks).toEqual([]);
			const numbersOf = (is: string) => published.flatMap((fact, index) => (fact.is === is ? [index + 1] : []));
			const taken = ["accepted", "queued", "elsewhere"].flatMap(numbersOf);
			const missing = taken.filter((number) => !heard.includes(number));
			expect(missing.length).toBeLessThanOrEqual(lost);
			for (const number of missing) {
				const { lanes, is } = published[number - 1] as Published;
				expect(is === "queued" || lanes.length > 1).toBe(true);
			}
			// A stream of this process: each once, unless it ended in between; and each, unless something was told since.
			const firsts = new Map<number, number>();
			for (const [at, number] of near.shown.entries()) {
				const first = firsts.get(number);
				if (first === undefined) firsts.set(number, at);
				else expect(near.ends.some((end) => end > first && end <= at)).toBe(true);
			}
			for (const number of taken) {
				const { since } = published[number - 1] as Published;
				expect(firsts.has(number) || near.told.some((at) => at >= since) || missing.includes(number)).toBe(true);
			}

			near.close();
			far.kill();
			outgoing.close();
			await following.close();
			await assembly.close();
			world.close();
			await clock.settle();
			expect(clock.waiting).toBe(0);
			for (const broker of [nats, redis, here]) expect(broker.subscriptions).toBe(0);
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 100) },
	);
}, 120_000);
