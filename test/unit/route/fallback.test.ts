import { afterEach, expect, test } from "vitest";
import type { FanoutOptions } from "../../../lambda/layer/src/config/options.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

/** A fanout on a local and a refusing transport, and what one client stream of it is shown. */
async function world(options: FanoutOptions) {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	const transports = [createFakeTransport(broker, { name: "wide" })];
	const fanout = await createFanout({ local: {}, transports, clock, ...options });
	open.push(fanout);
	const response = fanout.response(new Request("http://localhost/"));
	const shown: string[] = [];
	(async () => {
		const decoder = new TextDecoder();
		for await (const chunk of response.body ?? []) shown.push(decoder.decode(chunk));
	})().catch(() => {});
	await clock.advance(1);
	return { clock, broker, fanout, numbers: () => [...shown.join("").matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)) };
}

const send = (fanout: Fanout, n: number, method = "notifications/message") =>
	fanout.to({ all: true }).send({ method, params: { n } });

test("[P4] [P7] while the lane refuses, this process's streams get early copies; after recovery nothing comes twice", async () => {
	const { clock, broker, fanout, numbers } = await world({});
	await send(fanout, 1);
	broker.faults.refuse = 1;
	const second = send(fanout, 2);
	await clock.advance(5_000);
	expect(await second).toMatchObject({ accepted: [], queued: [{ lane: "wide", uncertain: true }] });
	await clock.advance(20_000);
	expect(fanout.health().targets).toMatchObject([{ breaker: "closed" }, { breaker: "open", outbox: { envelopes: 1 } }]);
	await send(fanout, 3);
	await clock.advance(1);
	expect(numbers()).toEqual([1, 2, 3]);
	broker.faults.refuse = 0;
	await clock.advance(60_000);
	expect(fanout.health().targets).toMatchObject([{}, { breaker: "closed", outbox: { envelopes: 0, dropped: 0 } }]);
	await send(fanout, 4);
	await clock.advance(1);
	expect(numbers()).toEqual([1, 2, 3, 4]);
});

test("[P4] an early copy is remembered for as long as the outbox may keep its envelope, whatever came after it", async () => {
	const { clock, broker, fanout, numbers } = await world({ outbox: { maxAgeMs: 3_600_000 } });
	broker.faults.refuse = 1;
	const first = send(fanout, 1);
	await clock.advance(11 * 60_000);
	await first;
	await send(fanout, 2);
	broker.faults.refuse = 0;
	await clock.advance(10 * 60_000);
	expect(fanout.health().targets).toMatchObject([{}, { breaker: "closed", outbox: { envelopes: 0, dropped: 0 } }]);
	expect(numbers()).toEqual([1, 2]);
});

test("without a fallback, only rules that name local beside the lane let streams have early copies", async () => {
	const rules = [
		{ condition: { type: "notifications/backed" }, targets: ["local", "wide"] },
		{ condition: "always" as const, targets: ["wide"] },
	];
	const { clock, broker, fanout, numbers } = await world({ fallbackStrategy: "none", routing: { rules } });
	broker.faults.refuse = 1;
	const sent = send(fanout, 1);
	const backed = send(fanout, 2, "notifications/backed");
	await clock.advance(5_000);
	expect(await sent).toMatchObject({ queued: [{ lane: "wide" }] });
	expect(await backed).toMatchObject({ queued: [{ lane: "wide" }] });
	expect(numbers()).toEqual([2]);
	broker.faults.refuse = 0;
	await clock.advance(60_000);
	expect(numbers()).toEqual([2, 1]);
});

test("[P9] what is still queued at the close is told, and nothing stays behind", async () => {
	const told: string[] = [];
	const { clock, broker, fanout } = await world({ onerror: (error) => told.push(error.message) });
	broker.faults.refuse = 1;
	for (const n of [1, 2, 3]) send(fanout, n);
	await clock.advance(30_000);
	const closed = fanout.close();
	await clock.advance(10_000);
	await closed;
	expect(told.filter((message) => message.includes("queued for wide"))).toEqual([
		expect.stringMatching(/^3 envelopes that were queued for wide are lost/),
	]);
	expect(clock.waiting).toBe(0);
});
