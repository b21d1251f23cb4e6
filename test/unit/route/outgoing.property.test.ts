import fc from "fast-check";
import { expect, test } from "vitest";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { createEngine } from "../../../lambda/layer/src/deliver/engine.ts";
import { createOutgoing } from "../../../lambda/layer/src/outgoing.ts";
import type { RoutingRule } from "../../../lambda/layer/src/route/options.ts";
import { FakeBroker, NO_FAULTS } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";
import { Client, World } from "../deliver/world.ts";
import { DEDUP_MS, TIMEOUT_MS, unreliable } from "../publish/outbox-world.ts";

const seed = announcedSeed("outgoing.property");

/** One method per way through the rules. */
const RULES: readonly RoutingRule[] = [
	{ condition: { type: "here/*" }, targets: ["local"] },
	{ condition: { type: "*/first-b" }, targets: ["b"], continueOnMatch: true },
	{ condition: { any: [{ type: "both/*" }, { type: "backed/*" }] }, targets: ["a", "b"], continueOnMatch: true },
	{ condition: { type: "backed/*" }, targets: ["local"] },
	{ condition: { all: [{ type: "only/*" }, { not: { type: "*/first-b" } }] }, targets: ["a"] },
];
const METHODS = ["here/x", "only/a", "only/first-b", "both/x", "both/first-b", "backed/x", "unmatched"] as const;
const LANES: Readonly<Record<(typeof METHODS)[number], readonly string[]>> = {
	"here/x": ["local"],
	"only/a": ["a"],
	"only/first-b": ["b"],
	"both/x": ["a", "b"],
	"both/first-b": ["b", "a"],
	"backed/x": ["a", "b"],
	unmatched: ["a", "b"],
};

const chance = fc.constantFrom(0, 0, 0, 0.5, 1);
const faults = fc.record({ refuse: chance, uncertain: chance, partial: chance, lose: fc.constantFrom(0, 0.3) });
const step = fc.record({
	method: fc.constantFrom(...METHODS),
	count: fc.integer({ min: 1, max: 4 }),
	wait: fc.constantFrom(0, 0, 1, 200, 3_000, 6_000, 31_000),
	a: faults,
	b: faults,
	hang: chance,
	farReconnects: fc.boolean(),
});

test("[P1] [P2] [P4] [P7] the whole router under failures and delays: every client stream is shown each envelope once, in its home lane's order", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 12, size: "max" }), fc.nat(), async (steps, run) => {
			const random = createRandom(run);
			const world = new World(random, { instances: 2, transports: ["a", "b"] });
			const { clock, brokers } = world;
			const [a, b] = brokers as [FakeBroker, FakeBroker];
			const here = createFakeTransport(new FakeBroker(random.next), {
				name: "local",
				capabilities: { reach: "process" },
			});
			const local = createEngine(here, { clock, random: random.next, report: () => {} });
			const hang = { chance: 0 };
			const capabilities = { batch: { count: 4, bytes: 4_096 }, dedupMs: DEDUP_MS };
			const through = (broker: FakeBroker, name: string) =>
				unreliable(
					createFakeTransport(broker, { name, capabilities }),
					broker,
					clock,
					() => random.next() < hang.chance,
				);
			const outgoing = await createOutgoing(
				[here, through(a, "a"), through(b, "b")],
				{ timeoutMs: TIMEOUT_MS, routing: { rules: RULES }, priorities: { a: 5, b: 6 }, disabled: [] },
				{ clock, random: random.next, report: () => {} },
			);
			const channel = world.channel("c");
			const [near, far] = [new Client(), new Client()];
			const [nearEngines = [], farEngines = []] = world.engines;
			near.connect([local, ...nearEngines], clock, [channel]);
			far.connect(farEngines, clock, [channel]);
			await clock.settle();

			const published: { lanes: readonly string[]; taken: boolean; afterMs: number }[] = [];
			for (const { method, count, wait, a: ofA, b: ofB, hang: hangs, farReconnects } of steps) {
				Object.assign(a.faults, ofA);
				Object.assign(b.faults, ofB);
				hang.chance = hangs;
				for (let at = 0; at < count; at += 1) {
					const route = outgoing.decide(channel, method, 0);
					expect([...route.lanes].sort()).toEqual([...LANES[method]].sort());
					// The rules' order, but for those in front of the first that is not shut.
					const isShut = (name: string) => outgoing.health.find(({ lane }) => lane === name)?.breaker !== "closed";
					expect(route.lanes[0]).toBe(LANES[method].find((name) => !isShut(name)) ?? LANES[method][0]);
					const since = clock.monotonic();
					const fact = { lanes: route.lanes, taken: false, afterMs: Number.POSITIVE_INFINITY };
					published.push(fact);
					outgoing
						.publish(route, world.envelope(channel, route.lanes), (envelope) => near.feed.early(envelope))
						.then((outcomes) => {
							fact.taken = outcomes.some((outcome) => outcome.ok || outcome.queued);
							fact.afterMs = clock.monotonic() - since;
						});
				}
				await clock.advance(wait);
				if (farReconnects) {
					far.kill();
					far.connect(farEngines, clock, [channel]);
				}
			}
			for (const broker of brokers) Object.assign(broker.faults, NO_FAULTS);
			hang.chance = 0;
			await clock.advance(TIMEOUT_MS);
			for (const { afterMs } of published) expect(afterMs).toBeLessThanOrEqual(TIMEOUT_MS);
			await clock.advance(310_000);
			await world.calm();

			const sorted = (numbers: readonly number[]) => [...numbers].sort((x, y) => x - y);
			const expected = (mine: (lanes: readonly string[]) => boolean) =>
				published.flatMap(({ lanes, taken }, index) => (taken && mine(lanes) ? [index + 1] : []));
			expect(sorted(near.numbers(channel))).toEqual(expected(() => true));
			expect(sorted(far.numbers(channel))).toEqual(expected((lanes) => lanes[0] !== "local"));
			for (const client of [near, far]) {
				expect(client.marks).toEqual([]);
				for (const lane of ["local", "a", "b"]) {
					const inOrder = client.seen.flatMap((fact) =>
						"n" in fact && !fact.early && published[fact.n - 1]?.lanes[0] === lane ? [fact.n] : [],
					);
					expect(inOrder).toEqual(sorted(inOrder));
				}
			}
			for (const [lane, broker] of [
				["a", a],
				["b", b],
			] as const) {
				const log = (broker.log(channel)?.entries ?? []).map(({ envelope }) => envelope as Envelope);
				expect(new Set(log.map(({ id }) => id)).size).toBe(log.length);
				for (const envelope of log) expect(envelope.lanes).toContain(lane);
			}
			expect(outgoing.health.map(({ breaker }) => breaker)).toEqual(["closed", "closed", "closed"]);
			expect(outgoing.health.map(({ outbox }) => outbox?.envelopes)).toEqual([0, 0, 0]);
			outgoing.close();
			near.kill();
			far.kill();
			world.close();
			local.close();
			await clock.settle();
			expect(clock.waiting).toBe(0);
		}),
		{ seed, numRuns: Number(process.env.FANOUT_RUNS ?? 100) },
	);
}, 120_000);
