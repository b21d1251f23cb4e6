import fc from "fast-check";
import { expect, test } from "vitest";
import { createBreaker } from "../../../lambda/layer/src/route/breaker.ts";
import { DEFAULT_BREAKER } from "../../../lambda/layer/src/route/options.ts";
import { NO_FAULTS } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { announcedSeed } from "../../support/random.ts";
import { createWorld, envelopeOf, inLog, TIMEOUT_MS } from "./outbox-world.ts";

const seed = announcedSeed("outbox.property");
const chance = fc.constantFrom(0, 0, 0.5, 1);
const step = fc.record({
	channel: fc.nat(2),
	count: fc.nat(6),
	wait: fc.constantFrom(0, 1, 200, 3_000, 6_000, 31_000),
	refuse: chance,
	uncertain: chance,
	partial: chance,
	hang: chance,
});
type Told = "accepted" | "queued" | "failed" | "uncertain";

test("[P1] [P2] [P7] what was accepted or queued is in the log once and in call order after recovery; nobody waits for longer than the deadline", async () => {
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 15, size: "max" }), fc.nat(), async (steps, run) => {
			const { clock, broker, hang, gate, outbox, publisher, reported } = createWorld(run);
			const counts = [0, 0, 0];
			const told: { channel: number; n: number; is: Told; afterMs: number; wasOpen: boolean }[] = [];
			for (const { channel, count, wait, refuse, uncertain, partial, hang: hangs } of steps) {
				Object.assign(broker.faults, { refuse, uncertain, partial });
				hang.chance = hangs;
				for (let at = 0; at < count; at += 1) {
					counts[channel] = (counts[channel] ?? 0) + 1;
					const n = counts[channel] as number;
					const since = clock.monotonic();
					const wasOpen = gate.state !== "closed";
					publisher.publish(envelopeOf(`c${channel}`, n, clock)).then((outcome) => {
						const refused = outcome.queued ? "queued" : outcome.ok || !outcome.uncertain ? "failed" : "uncertain";
						const is = outcome.ok ? "accepted" : refused;
						told.push({ channel, n, is, afterMs: clock.monotonic() - since, wasOpen });
					});
				}
				await clock.advance(wait);
			}
			Object.assign(broker.faults, NO_FAULTS);
			hang.chance = 0;
			await clock.advance(TIMEOUT_MS);
			expect(told.length).toBe(counts.reduce((sum, count) => sum + count, 0));
			for (const { afterMs, wasOpen } of told) expect(afterMs).toBeLessThanOrEqual(wasOpen ? 0 : TIMEOUT_MS);
			await clock.advance(310_000);
			expect(gate.state).toBe("closed");
			for (const channel of [0, 1, 2]) {
				const log = inLog(broker, `c${channel}`);
				expect(log).toEqual([...new Set(log)].sort((x, y) => x - y));
				for (const { n, is } of told.filter((one) => one.channel === channel)) {
					if (is === "accepted" || is === "queued") expect(log).toContain(n);
					if (is === "failed") expect(log).not.toContain(n);
				}
			}
			expect(outbox.state).toMatchObject({ envelopes: 0, bytes: 0, dropped: 0 });
			expect(reported).toEqual([]);
			publisher.close();
			await clock.settle();
			expect(clock.waiting).toBe(0);
		}),
		{ seed, numRuns: 150 },
	);
}, 60_000);

test("[P6] the outbox against its model: never over its bounds; what found no room failed, and is counted and told", async () => {
	const limits = { maxEnvelopes: 5, maxBytes: 1_500, maxAgeMs: 60_000 };
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 15, size: "max" }), fc.nat(), async (steps, run) => {
			const { clock, broker, hang, outbox, publisher, reported } = createWorld(run, limits);
			let n = 0;
			let queued = 0;
			let overflowed = 0;
			const failed: [channel: number, n: number][] = [];
			for (const { channel, count, wait, refuse, uncertain, hang: hangs } of steps) {
				Object.assign(broker.faults, { refuse, uncertain });
				hang.chance = hangs;
				for (let at = 0; at < count; at += 1) {
					n += 1;
					const number = n;
					publisher.publish(envelopeOf(`c${channel}`, n, clock)).then((outcome) => {
						if (!outcome.ok && !outcome.queued && !outcome.uncertain) failed.push([channel, number]);
						if (outcome.queued) queued += 1;
						else if (!outcome.ok && outcome.error.code === "QueueFull") overflowed += 1;
					});
				}
				await clock.advance(wait);
				expect(outbox.state.envelopes).toBeLessThanOrEqual(limits.maxEnvelopes);
				expect(outbox.state.bytes).toBeLessThanOrEqual(limits.maxBytes);
			}
			await clock.advance(TIMEOUT_MS);
			expect(outbox.state.overflowed).toBe(overflowed);
			publisher.close();
			await clock.settle();
			expect(outbox.state).toMatchObject({ envelopes: 0, bytes: 0 });
			for (const [channel, number] of failed) expect(inLog(broker, `c${channel}`)).not.toContain(number);
			const lost = reported.reduce((sum, { data }) => sum + (data.dropped as number), 0);
			expect(lost).toBe(outbox.state.dropped);
			expect(outbox.state.dropped).toBeLessThanOrEqual(queued);
		}),
		{ seed, numRuns: 150 },
	);
}, 60_000);

test("[P7] an uncertain envelope that is older than the lane's memory is looked up before it is offered again", async () => {
	const { clock, broker, hang, publisher, outbox } = createWorld(1);
	broker.faults.uncertain = 1;
	const first = publisher.publish(envelopeOf("c0", 1, clock));
	await clock.advance(TIMEOUT_MS);
	expect(await first).toMatchObject({ ok: false, queued: true, uncertain: true });
	broker.faults.uncertain = 0;
	hang.chance = 1;
	const second = publisher.publish(envelopeOf("c0", 2, clock));
	await clock.advance(400_000);
	hang.chance = 0;
	await clock.advance(190_000);
	expect(await second).toMatchObject({ queued: true });
	expect(outbox.state).toMatchObject({ envelopes: 0, dropped: 0 });
	expect(inLog(broker, "c0")).toEqual([1, 2]);
	publisher.close();
});

test("[P1] what is in flight when the breaker opens may be taken: without room in the outbox it fails as uncertain", async () => {
	const { clock, broker, hang, gate, publisher } = createWorld(1, { maxEnvelopes: 1 });
	broker.faults.refuse = 1;
	publisher.publish(envelopeOf("c0", 1, clock));
	await clock.advance(4_000);
	Object.assign(broker.faults, NO_FAULTS);
	hang.chance = 1;
	const inFlight = publisher.publish(envelopeOf("c1", 1, clock));
	await clock.settle();
	hang.chance = 0;
	broker.faults.refuse = 1;
	await clock.advance(4_900);
	expect(gate.state).toBe("open");
	const unanswered = Symbol("unanswered");
	expect(await Promise.race([inFlight, unanswered])).toMatchObject({
		ok: false,
		uncertain: true,
		error: { code: "QueueFull" },
	});
	publisher.close();
});

test("what is kept for too long is dropped, counted and told once", async () => {
	const { clock, broker, publisher, outbox, reported } = createWorld(1, { maxAgeMs: 60_000 });
	broker.faults.refuse = 1;
	for (let n = 1; n <= 50; n += 1) publisher.publish(envelopeOf("c0", n, clock));
	await clock.advance(400_000);
	expect(outbox.state).toMatchObject({ envelopes: 0, bytes: 0, dropped: 50 });
	expect(reported.map(({ data }) => data.dropped).reduce((sum, one) => (sum as number) + (one as number), 0)).toBe(50);
	expect(reported.length).toBeLessThanOrEqual(2);
	publisher.close();
});

test("[P2] [P7] while something is kept, who publishes behind it hears so at once", async () => {
	const { clock, gate, hang, publisher } = createWorld(1);
	hang.chance = 1;
	const first = publisher.publish(envelopeOf("c0", 1, clock));
	await clock.advance(TIMEOUT_MS);
	expect(await first).toMatchObject({ queued: true, uncertain: true });
	expect(gate.state).toBe("closed");
	const second = publisher.publish(envelopeOf("c0", 2, clock));
	const elsewhere = publisher.publish(envelopeOf("c1", 1, clock));
	await clock.settle();
	const unanswered = Symbol("unanswered");
	expect(await Promise.race([second, unanswered])).toMatchObject({ queued: true, uncertain: false });
	expect(await Promise.race([elsewhere, unanswered])).toBe(unanswered);
	publisher.close();
});

test("a queue that has caught up waits for acceptance again", async () => {
	const { clock, broker, publisher } = createWorld(1);
	broker.faults.refuse = 1;
	const before = [1, 2, 3].map((n) => publisher.publish(envelopeOf("c0", n, clock)));
	await clock.advance(10_000);
	broker.faults.refuse = 0;
	expect((await Promise.all(before)).map((outcome) => outcome.queued)).toEqual([true, true, true]);
	await clock.advance(40_000);
	const after = publisher.publish(envelopeOf("c0", 4, clock));
	await clock.settle();
	expect(await after).toMatchObject({ ok: true, duplicate: false });
	expect(inLog(broker, "c0")).toEqual([1, 2, 3, 4]);
	publisher.close();
});

test("[P2] [P7] a breaker that is exchanged in the very turn in which it opens loses nothing of what was in flight", async () => {
	const { clock, broker, hang, gate, random, publisher, outbox, reported } = createWorld(1);
	broker.faults.refuse = 1;
	publisher.publish(envelopeOf("c0", 1, clock));
	await clock.advance(4_000);
	hang.chance = 1;
	const inFlight = publisher.publish(envelopeOf("c1", 1, clock));
	await clock.settle();
	hang.chance = 0;
	gate.onChange(() => {
		broker.faults.refuse = 0;
		publisher.change({ gate: createBreaker({ clock, options: DEFAULT_BREAKER, random: random.next }) });
	});
	await clock.advance(TIMEOUT_MS);
	expect(gate.state).toBe("open");
	expect(await inFlight).toMatchObject({ queued: true, uncertain: true });
	expect(outbox.state).toMatchObject({ envelopes: 0, dropped: 0 });
	expect(reported).toEqual([]);
	expect(inLog(broker, "c1")).toEqual([1]);
	publisher.close();
});
