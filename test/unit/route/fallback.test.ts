import { afterEach, expect, test } from "vitest";
import type { FanoutOptions } from "../../../lambda/layer/src/config/options.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import type { FilterOptions } from "../../../lambda/layer/src/stream/filter.ts";
import type { ClientStream, StreamChange } from "../../../lambda/layer/src/stream/port.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

const open: Fanout[] = [];
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

/** A fanout on a local and a refusing transport, and what one client stream of it is shown. */
async function world(options: FanoutOptions, filter?: FilterOptions) {
	const clock = createFakeClock();
	const broker = new FakeBroker(createRandom(1).next);
	const transports = [createFakeTransport(broker, { name: "wide" })];
	const fanout = await createFanout({ local: {}, transports, clock, ...options });
	open.push(fanout);
	const shown: string[] = [];
	let leave = new AbortController();
	let stream: ClientStream | undefined;
	/** Its client comes, or comes back with the last cursor that it was told. */
	const come = async () => {
		leave.abort();
		leave = new AbortController();
		const { signal } = leave;
		const cursor = [...shown.join("").matchAll(/^id: (.+)$/gm)].at(-1)?.[1];
		const headers = cursor === undefined ? {} : { "Last-Event-ID": cursor };
		const onStream = (opened: ClientStream) => {
			stream = opened;
		};
		const response = fanout.response(new Request("http://localhost/", { headers, signal }), { filter, onStream });
		(async () => {
			const decoder = new TextDecoder();
			for await (const chunk of response.body ?? []) shown.push(decoder.decode(chunk));
		})().catch(() => {});
		await clock.advance(1);
	};
	await come();
	const numbers = () => [...shown.join("").matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n));
	return { clock, broker, fanout, numbers, come, update: (change: StreamChange) => stream?.update(change) };
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

test("[P4] who comes back after the home copies of what it took early is not shown them again", async () => {
	const { clock, broker, fanout, numbers, come } = await world({});
	broker.faults.refuse = 1;
	const first = send(fanout, 1);
	await clock.advance(5_000);
	await first;
	broker.faults.refuse = 0;
	await clock.advance(120_000);
	expect(fanout.health().targets).toMatchObject([{}, { breaker: "closed", outbox: { envelopes: 0, dropped: 0 } }]);
	await come();
	await send(fanout, 2);
	await clock.advance(1);
	expect(numbers()).toEqual([1, 2]);
});

test("[P3] what a filter held back early is shown from its home copy, when the filter lets it pass by then", async () => {
	const { clock, broker, fanout, numbers, update } = await world({}, { methods: ["other"] });
	broker.faults.refuse = 1;
	const first = send(fanout, 1);
	await clock.advance(5_000);
	await first;
	await update({ filter: {} });
	broker.faults.refuse = 0;
	await clock.advance(120_000);
	expect(fanout.health().targets).toMatchObject([{}, { breaker: "closed", outbox: { envelopes: 0, dropped: 0 } }]);
	expect(numbers()).toEqual([1]);
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
	const { clock, broker, fanout } = await world({ onerror: ({ code, message }) => told.push(`${code}: ${message}`) });
	broker.faults.refuse = 1;
	for (const n of [1, 2, 3]) send(fanout, n);
	await clock.advance(30_000);
	const closed = fanout.close();
	await clock.advance(10_000);
	await closed;
	expect(told.filter((message) => message.includes("queued for wide"))).toEqual([
		expect.stringMatching(/^Closed: 3 envelopes that were queued for wide are lost/),
	]);
	expect(clock.waiting).toBe(0);
});

test("[P3] [P4] [P7] while the first of two lanes is shut, everyone is shown what is sent from the other, resumes included, and nothing twice", async () => {
	const clock = createFakeClock();
	const [a, b] = [new FakeBroker(createRandom(1).next), new FakeBroker(createRandom(2).next)];
	const instance = async () => {
		const transports = [createFakeTransport(a, { name: "a" }), createFakeTransport(b, { name: "b" })];
		const fanout = await createFanout({ transports, clock, outbox: { maxAgeMs: 60_000 } });
		open.push(fanout);
		return fanout;
	};
	const [near, far] = [await instance(), await instance()];
	const read = (fanout: Fanout, lastEventId = "") => {
		const shown = { text: "" };
		const response = fanout.response(new Request("http://localhost/"), { lastEventId });
		(async () => {
			for await (const chunk of response.body ?? []) shown.text += Buffer.from(chunk).toString();
		})().catch(() => {});
		return { shown, numbers: () => [...shown.text.matchAll(/"n":(\d+)/g)].map(([, n]) => Number(n)) };
	};
	const streams = [read(near), read(far)];
	await clock.advance(1);
	await send(near, 1);
	a.faults.refuse = 1;
	await Promise.all([send(near, 2), clock.advance(5_000)]);
	await clock.advance(30_000);
	expect(near.health().targets).toMatchObject([{ breaker: "open" }, { breaker: "closed" }]);
	// Longer than the outbox keeps it for the lane that is shut.
	expect(await send(near, 3)).toMatchObject({ accepted: [{ lane: "b" }], queued: [{ lane: "a" }] });
	await clock.advance(90_000);
	const [, cursor] = /id: (\S+)\ndata: .*"n":1}/.exec(streams[1]?.shown.text ?? "") ?? [];
	const resumed = read(far, cursor);
	await clock.advance(1);
	expect(resumed.numbers()).toEqual([3]);
	await send(near, 4);
	a.faults.refuse = 0;
	await clock.advance(310_000);
	await send(near, 5);
	await clock.advance(2_000);
	expect(near.health().targets).toMatchObject([{ breaker: "closed", outbox: { envelopes: 0 } }, {}]);
	await send(near, 6);
	await clock.advance(2_000);
	expect([streams[1]?.numbers(), resumed.numbers()]).toEqual([
		[1, 3, 4, 5, 6],
		[3, 4, 5, 6],
	]);
});
