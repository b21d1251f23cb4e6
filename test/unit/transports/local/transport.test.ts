import { describe, expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { BEGINNING } from "../../../../lambda/layer/src/core/position.ts";
import type { Outcome } from "../../../../lambda/layer/src/core/transport.ts";
import { collect, createBench, never, numbers, offsets, readPage, started, topic } from "./support.ts";

const a = topic("a");
const b = topic("b");

describe("publish", () => {
	test("[P1] gives dense positions of one epoch and says what the acceptance is worth", async () => {
		const { transport, send } = await started();
		const outcomes = [...(await send(a, 1, 2)), ...(await send(a, 3))];
		const [end] = await transport.ends([a], never);
		expect(outcomes).toEqual(
			[1, 2, 3].map((offset) => ({
				ok: true,
				position: { epoch: end?.epoch, offset },
				duplicate: false,
				durability: "memory",
				reach: "process",
			})),
		);
	});

	test("hands entries to the subscriber before publish returns its promise", async () => {
		const { transport, envelope } = await started();
		const live = collect();
		await transport.subscribe(a, live).ready;
		const promise = transport.publish(a, [envelope(a, 1)], { mayExist: false }, never);
		expect(numbers(live.entries)).toEqual([1]);
		await promise;
	});

	test("[P1] [P4] accepts one envelope in the same turn, as publish would", async () => {
		const { transport, envelope } = await started({ maxPayloadBytes: 1_000 });
		const live = collect();
		await transport.subscribe(a, live).ready;
		const first = envelope(a, 1);
		const taken = transport.accept?.(first);
		expect(taken).toMatchObject({ ok: true, duplicate: false, reach: "process", position: { offset: 1 } });
		expect(numbers(live.entries)).toEqual([1]);
		expect(transport.accept?.(first)).toEqual({ ...taken, duplicate: true });
		expect(await transport.publish(a, [first], { mayExist: false }, never)).toEqual([{ ...taken, duplicate: true }]);
		const large = transport.accept?.(envelope(a, 2, "x".repeat(1_000)));
		expect(large).toMatchObject({ ok: false, error: { code: "PayloadTooLarge" } });
		await transport.close();
		expect(transport.accept?.(envelope(a, 3))).toMatchObject({ ok: false, error: { code: "Closed" } });
	});

	test("[P4] an id older than the newest is looked up, also after others of its kind were dropped", async () => {
		const { transport, envelope } = await started({ maxEventsPerChannel: 3 });
		const all = [1, 2, 3, 4, 5].map((n) => envelope(a, n));
		const accept = (n: number) => transport.accept?.(all[n] as (typeof all)[number]);
		// In another order than that of their ids.
		for (const n of [1, 0, 2, 4]) expect(accept(n)).toMatchObject({ duplicate: false });
		expect(accept(0)).toMatchObject({ duplicate: true, position: { offset: 2 } });
		expect(accept(3)).toMatchObject({ duplicate: false, position: { offset: 5 } });
		// The first two are no longer kept.
		expect(accept(1)).toMatchObject({ duplicate: false, position: { offset: 6 } });
		expect(accept(4)).toMatchObject({ duplicate: true, position: { offset: 4 } });
	});

	test("[P4] refuses an id that the log holds, and one that stands twice in a batch, and names its position", async () => {
		const { transport, envelope } = await started();
		const live = collect();
		await transport.subscribe(a, live).ready;
		const first = envelope(a, 1);
		const second = envelope(a, 2);
		await transport.publish(a, [first], { mayExist: false }, never);
		const outcomes = await transport.publish(a, [first, second, second], { mayExist: true }, never);
		expect(outcomes.map((o) => o.ok && [o.position?.offset, o.duplicate])).toEqual([
			[1, true],
			[2, false],
			[2, true],
		]);
		expect(numbers(live.entries)).toEqual([1, 2]);
	});

	test("takes the good prefix of a batch and refuses everything after a payload over the bound", async () => {
		const { transport, envelope } = await started({ maxPayloadBytes: 1000 });
		const batch = [envelope(a, 1), envelope(a, 2, "x".repeat(1000)), envelope(a, 3)];
		const outcomes = await transport.publish(a, batch, { mayExist: false }, never);
		expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, false]);
		expect(outcomes[1]).toMatchObject({
			uncertain: false,
			error: { code: "PayloadTooLarge", data: { bytes: expect.any(Number), maxBytes: 1000 } },
		});
		expect(numbers((await readPage(transport, a, BEGINNING)).entries)).toEqual([1]);
	});

	test("[P5] refuses an envelope of another channel", async () => {
		const { transport, envelope } = await started();
		const [outcome] = await transport.publish(a, [envelope(b, 1)], { mayExist: false }, never);
		expect(outcome).toMatchObject({ ok: false, error: { code: "InvalidEnvelope" } });
	});

	test("refuses a batch over its stated count, whole", async () => {
		const { transport, envelope } = await started();
		const batch = Array.from({ length: transport.capabilities.batch.count + 1 }, (_, n) => envelope(a, n));
		const outcomes = await transport.publish(a, batch, { mayExist: false }, never);
		expect(outcomes.every((o) => !o.ok && o.error.code === "TransportRefused")).toBe(true);
	});

	test("before start, after close and when aborted: a reasoned refusal, nothing stored", async () => {
		const { transport, send, envelope } = createBench();
		expect(await send(a, 1)).toMatchObject([{ ok: false, error: { code: "TransportUnavailable" } }]);
		await transport.start({ report() {} }, never);
		const aborted = await transport.publish(a, [envelope(a, 2)], { mayExist: false }, AbortSignal.abort());
		expect(aborted).toMatchObject([{ ok: false, uncertain: false, error: { code: "Aborted" } }]);
		expect((await transport.ends([a], never))[0]?.offset).toBe(0);
		await transport.close();
		await transport.close();
		expect(await send(a, 3)).toMatchObject([{ ok: false, error: { code: "Closed" } }]);
		await expect(transport.ends([a], never)).rejects.toMatchObject({ code: "Closed" });
		await expect(transport.subscribe(a, collect()).ready).rejects.toMatchObject({ code: "Closed" });
	});
});

describe("subscribe", () => {
	test("[P2] keeps the order when a subscriber publishes to its own channel", async () => {
		const { transport, send } = await started();
		const live = collect();
		await transport.subscribe(a, {
			...live,
			entry(entry) {
				live.entries.push(entry);
				if (live.entries.length < 4) void send(a, 10 + live.entries.length);
			},
		}).ready;
		await send(a, 1, 2);
		expect(offsets(live.entries)).toEqual([1, 2, 3, 4, 5]);
		expect(numbers(live.entries)).toEqual([1, 2, 11, 12, 13]);
	});

	test("[P6] what waits for a subscriber that publishes from inside is bounded, and refused for now", async () => {
		const { transport, envelope, send } = await started();
		const live = collect();
		const outcomes: (Outcome | undefined)[] = [];
		await transport.subscribe(a, {
			...live,
			entry(entry) {
				if (live.entries.push(entry) > 1) return;
				for (let n = 2; n <= 2_000; n += 1) outcomes.push(transport.accept?.(envelope(a, n)));
			},
		}).ready;
		await send(a, 1);
		expect(live.entries).toHaveLength(1_001);
		expect(outcomes[1_000]).toMatchObject({ ok: false, error: { code: "QueueFull", retryable: true } });
		await send(a, 3_000);
		expect(numbers(live.entries).at(-1)).toBe(3_000);
	});

	test("a subscriber that throws is reported, and starves nobody", async () => {
		const { transport, send } = createBench();
		const reported: unknown[] = [];
		await transport.start({ report: (event) => void reported.push(event) }, never);
		const live = collect();
		await transport.subscribe(a, {
			...live,
			entry(entry) {
				live.entries.push(entry);
				throw new Error("mine");
			},
		}).ready;
		expect((await send(a, 1, 2)).every(({ ok }) => ok)).toBe(true);
		expect(numbers(live.entries)).toEqual([1, 2]);
		expect(reported).toHaveLength(2);
	});

	test("close stops it at once, even from inside; a stale close does not end a later one; a second one is refused", async () => {
		const { transport, send } = await started();
		const live = collect();
		const first = transport.subscribe(a, {
			...live,
			entry(entry) {
				live.entries.push(entry);
				first.close();
			},
		});
		await first.ready;
		await expect(transport.subscribe(a, collect()).ready).rejects.toMatchObject({ code: "Unsupported" });
		await send(a, 1, 2);
		expect(numbers(live.entries)).toEqual([1]);
		const later = collect();
		await transport.subscribe(a, later).ready;
		first.close();
		await send(a, 3);
		expect(numbers(later.entries)).toEqual([3]);
	});
});

describe("read and ends", () => {
	test("an unknown channel is empty at the floor, and asking does not make a log", async () => {
		const { transport } = await started();
		expect((await transport.ends([a], never))[0]?.offset).toBe(0);
		expect(await readPage(transport, a, BEGINNING)).toMatchObject({ entries: [], more: false, verdict: "whole" });
	});

	test("[P3] from every position: the page goes on after it, or says retention, or epoch", async () => {
		const { transport, send } = await started({ maxEventsPerChannel: 4 });
		await send(a, 1, 2, 3, 4, 5, 6);
		const epoch = (await transport.ends([a], never))[0]?.epoch as string;
		const from = async (offset: number, of = epoch) => {
			const page = await readPage(transport, a, { epoch: of, offset: offset });
			return [page.verdict, ...numbers(page.entries)];
		};
		expect(await from(0)).toEqual(["retention", 3, 4, 5, 6]);
		expect(await from(1)).toEqual(["retention", 3, 4, 5, 6]);
		expect(await from(2)).toEqual(["whole", 3, 4, 5, 6]);
		expect(await from(5)).toEqual(["whole", 6]);
		expect(await from(6)).toEqual(["whole"]);
		expect(await from(7)).toEqual(["epoch", 3, 4, 5, 6]);
		expect(await from(5, "deadbeef")).toEqual(["epoch", 3, 4, 5, 6]);
		expect(await from(0, BEGINNING.epoch)).toEqual(["retention", 3, 4, 5, 6]);
		expect(await readPage(transport, a, BEGINNING, 2)).toMatchObject({ more: true, entries: { length: 2 } });
	});

	test("[P3] since a time: the events of that window, with retention only if one of the window is gone", async () => {
		const { transport, send, clock } = await started({ maxEventsPerChannel: 2 });
		for (const n of [1, 2, 3]) {
			await send(a, n);
			await clock.advance(1000);
		}
		const start = clock.now() - 3000;
		const since = async (ms: number) => {
			const page = await readPage(transport, a, { sinceMs: start + ms });
			return [page.verdict, ...numbers(page.entries)];
		};
		expect(await since(0)).toEqual(["retention", 2, 3]);
		expect(await since(1)).toEqual(["whole", 2, 3]);
		expect(await since(1001)).toEqual(["whole", 3]);
		expect(await since(5000)).toEqual(["whole"]);
	});

	test("[P3] age: an event is gone after the retention, its place is not forgotten", async () => {
		const { transport, send, clock } = await started({ retentionMs: 1000 });
		await send(a, 1);
		await clock.advance(500);
		await send(a, 2);
		await clock.advance(500);
		expect(await readPage(transport, a, BEGINNING)).toMatchObject({ verdict: "retention", entries: { length: 1 } });
		await clock.advance(500);
		expect((await transport.ends([a], never))[0]?.offset).toBe(2);
		expect((await send(a, 3))[0]).toMatchObject({ position: { offset: 3 } });
	});

	test("a wall clock that jumps back keeps times in order", async () => {
		const { transport, send, clock } = await started({ retentionMs: 1000 });
		await send(a, 1);
		const before = clock.now();
		clock.jump(-60_000);
		await send(a, 2);
		expect((await readPage(transport, a, { sinceMs: before })).entries).toHaveLength(2);
	});

	test("an aborted read and an aborted start throw", async () => {
		const { transport } = await started();
		const aborted = AbortSignal.abort();
		await expect(transport.ends([a], aborted)).rejects.toMatchObject({ code: "Aborted" });
		await expect(
			transport
				.read([{ channel: a, from: BEGINNING, limit: 1 }], aborted)
				[Symbol.asyncIterator]()
				.next(),
		).rejects.toMatchObject({
			code: "Aborted",
		});
		await expect(createBench().transport.start({ report() {} }, aborted)).rejects.toMatchObject({ code: "Aborted" });
	});
});

test("options that cannot hold are refused by name", () => {
	expect(() => createBench({ retentionMs: 0 })).toThrow(/local\.retentionMs/);
	expect(() => createBench({ maxEvents: 1.5 })).toThrow(/local\.maxEvents/);
	expect(() => createBench({ maxBytes: 10 })).toThrow(/local\.maxBytes/);
});

test("[P5] channels of other kinds, tenants and namespaces with the same id are other logs", async () => {
	const { transport, send } = await started();
	const channels = [
		a,
		createChannel("session", "a"),
		createChannel("topic", "a", { tenant: "t" }),
		createChannel("topic", "a", { namespace: "n" }),
	];
	for (const [n, channel] of channels.entries()) await send(channel, n);
	for (const [n, channel] of channels.entries()) {
		expect(numbers((await readPage(transport, channel, BEGINNING)).entries)).toEqual([n]);
	}
});
