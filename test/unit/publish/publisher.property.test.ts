import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Envelope } from "../../../lambda/layer/src/core/envelope.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import { createPublisher } from "../../../lambda/layer/src/publish/publisher.ts";
import { FakeBroker, NO_FAULTS } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { announcedSeed, createRandom } from "../../support/random.ts";

const seed = announcedSeed("publisher.property");

function envelope(channel: string, n: number, text = ""): Envelope {
	const to = createChannel("topic", channel);
	const message = { jsonrpc: "2.0" as const, method: "notifications/message", params: { n, text } };
	return {
		v: 1,
		id: deriveId(channel, String(n)),
		channel: to,
		message,
		publishedAt: 0,
		origin: "test",
		lanes: ["fake"],
	};
}

function setUp(run: number, limits = {}) {
	const random = createRandom(run);
	const clock = createFakeClock();
	const broker = new FakeBroker(random.next);
	const transport = createFakeTransport(broker, { capabilities: { batch: { count: 4, bytes: 4_096 } } });
	const publisher = createPublisher(transport, { clock, random: random.next, limits });
	return { clock, broker, publisher };
}

const chance = fc.constantFrom(0, 0, 0.3, 0.7);

test("[P1] [P2] one publisher's envelopes enter a channel in call order, once, whatever the broker refuses or answers late", async () => {
	const step = fc.record({
		channel: fc.nat(2),
		count: fc.nat(6),
		wait: fc.constantFrom(0, 1, 200, 3_000),
		refuse: chance,
		uncertain: chance,
		partial: chance,
	});
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 20, size: "max" }), fc.nat(), async (steps, run) => {
			const { clock, broker, publisher } = setUp(run);
			const counts = [0, 0, 0];
			const results: Promise<{ channel: number; n: number; ok: boolean; uncertain: boolean }>[] = [];
			for (const { channel, count, wait, refuse, uncertain, partial } of steps) {
				Object.assign(broker.faults, { refuse, uncertain, partial });
				for (let at = 0; at < count; at += 1) {
					counts[channel] = (counts[channel] ?? 0) + 1;
					const n = counts[channel] as number;
					const sent = publisher.publish(envelope(`c${channel}`, n));
					results.push(
						sent.then((outcome) => ({ channel, n, ok: outcome.ok, uncertain: !outcome.ok && outcome.uncertain })),
					);
				}
				await clock.advance(wait);
			}
			Object.assign(broker.faults, NO_FAULTS);
			const flushed = publisher.flush();
			await clock.advance(60_000);
			await flushed;
			const settled = await Promise.all(results);
			for (const channel of [0, 1, 2]) {
				const log = broker.log(createChannel("topic", `c${channel}`));
				const inLog = (log?.entries ?? []).map(
					(entry) => (entry.envelope as unknown as { message: { params: { n: number } } }).message.params.n,
				);
				expect(inLog).toEqual([...new Set(inLog)].sort((x, y) => x - y));
				for (const { n, ok, uncertain } of settled.filter((one) => one.channel === channel)) {
					if (ok) expect(inLog).toContain(n);
					else if (!uncertain) expect(inLog).not.toContain(n);
				}
			}
			publisher.close();
			expect(clock.waiting).toBe(0);
		}),
		{ seed, numRuns: 200 },
	);
}, 120_000);

test("[P1] a payload over the bound is refused with both sizes before the transport is asked", async () => {
	const { broker, publisher } = setUp(1);
	const outcome = await publisher.publish(envelope("c", 1, "x".repeat(121 * 1024)));
	expect(outcome.ok).toBe(false);
	if (outcome.ok) return;
	expect(outcome.error.code).toBe("PayloadTooLarge");
	expect(outcome.error.data).toMatchObject({ maxPayloadBytes: 120 * 1024 });
	expect(outcome.error.data.bytes).toBeGreaterThan(121 * 1024);
	expect(broker.log(createChannel("topic", "c"))).toBeUndefined();
});

test("[P6] the queue is bounded in count: the refusal says so, and what was queued still arrives", async () => {
	const { clock, broker, publisher } = setUp(1, { maxQueued: 3 });
	broker.faults.refuse = 1;
	const sent = [1, 2, 3, 4].map((n) => publisher.publish(envelope("c", n)));
	const fourth = await sent[3];
	expect(fourth?.ok === false && fourth.error.code).toBe("QueueFull");
	broker.faults.refuse = 0;
	await clock.advance(2_000);
	expect((await Promise.all(sent.slice(0, 3))).map(({ ok }) => ok)).toEqual([true, true, true]);
});

test("[P7] a lane that never accepts costs at most the deadline, and closing fails what is left", async () => {
	const { clock, broker, publisher } = setUp(1, { timeoutMs: 1_000 });
	broker.faults.refuse = 1;
	const late = publisher.publish(envelope("c", 1));
	await clock.advance(1_001);
	const outcome = await late;
	expect(outcome.ok === false && outcome.error.code).toBe("DeadlineExceeded");
	const left = publisher.publish(envelope("c", 2));
	publisher.close();
	await clock.settle();
	const closed = await left;
	expect(closed.ok === false && closed.error.code).toBe("Closed");
});
