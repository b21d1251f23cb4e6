import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Channel } from "../../../../lambda/layer/src/core/channel.ts";
import { BEGINNING, type Position } from "../../../../lambda/layer/src/core/position.ts";
import { createLog, eventOf } from "../../../../lambda/layer/src/transports/local/log.ts";
import { resolveLimits } from "../../../../lambda/layer/src/transports/local/options.ts";
import { createShelf } from "../../../../lambda/layer/src/transports/local/shelf.ts";
import { createMemoryStore } from "../../../../lambda/layer/src/transports/local/store.ts";
import { collect, never, numbers, readPage, started, topic } from "./support.ts";

const channels = ["a", "b", "c", "d", "e"].map(topic) as [Channel, Channel, Channel, Channel, Channel];
const [a, b, c] = channels;

describe("eviction", () => {
	test("[P6] the least recently used channel goes first, a followed one never", async () => {
		const { transport, send } = await started({ maxEvents: 6 });
		await transport.subscribe(a, collect()).ready;
		await send(a, 1);
		await send(b, 2);
		await send(c, 3);
		await send(b, 4);
		const kept = async () =>
			Promise.all(channels.slice(0, 3).map(async (x) => (await readPage(transport, x, BEGINNING)).entries.length));
		expect(await kept()).toEqual([1, 2, 0]);
	});

	test("[P3] an evicted channel that comes back never looks whole to whoever missed something", async () => {
		const { transport, send, clock } = await started({ maxEvents: 4 });
		const [first] = await send(a, 1, 2);
		const seen = first?.ok ? (first.position as Position) : BEGINNING;
		await send(b, 3, 4);
		const [unknown] = await transport.ends([a], never);
		expect(unknown?.offset).toBe(2);
		expect((await readPage(transport, a, seen)).verdict).toBe("retention");
		expect((await send(a, 5))[0]).toMatchObject({ position: { offset: 3 } });
		expect(await readPage(transport, a, seen)).toMatchObject({ verdict: "retention", entries: { length: 1 } });
		expect((await readPage(transport, a, BEGINNING)).verdict).toBe("retention");
		expect((await readPage(transport, a, { sinceMs: clock.now() })).verdict).toBe("retention");
	});

	test("[P6] a page is bounded in bytes: a client stream that does not read holds one", async () => {
		const { transport, envelope } = await started({ maxPayloadBytes: 400 * 1024 });
		const batch = [100, 100, 100, 300, 1].map((kib, n) => envelope(a, n, "x".repeat(kib * 1024)));
		await transport.publish(a, batch, { mayExist: false }, never);
		const pages: unknown[][] = [];
		for (let from: Position = BEGINNING, more = true; more; ) {
			const page = await readPage(transport, a, from);
			pages.push(numbers(page.entries));
			({ more } = page);
			from = page.entries.at(-1)?.position ?? from;
		}
		expect(pages).toEqual([[0, 1], [2], [3], [4]]);
	});

	test("the end that a new subscription gets is where its log goes on", async () => {
		const { transport, send } = await started({ maxEvents: 4 });
		await send(a, 1, 2);
		await send(b, 3);
		const end = await transport.subscribe(c, collect()).ready;
		await send(c, 4);
		expect(await readPage(transport, c, end)).toMatchObject({ verdict: "whole", entries: { length: 1 } });
	});

	test("[P6] when only followed channels are left, they lose their oldest, told as retention", async () => {
		const { transport, send } = await started({ maxEvents: 10 });
		for (const channel of [a, b]) await transport.subscribe(channel, collect()).ready;
		await send(a, 1, 2, 3, 4);
		await send(b, 5, 6, 7, 8);
		await send(b, 9);
		expect(numbers((await readPage(transport, a, BEGINNING)).entries)).toEqual([3, 4]);
		expect((await readPage(transport, a, BEGINNING)).verdict).toBe("retention");
		expect(numbers((await readPage(transport, b, BEGINNING)).entries)).toEqual([5, 6, 7, 8, 9]);
	});

	test("[P6] bytes are bounded as well", async () => {
		const { transport, send, envelope } = await started({ maxPayloadBytes: 2000, maxBytes: 4000 });
		await transport.publish(a, [envelope(a, 1, "x".repeat(1500))], { mayExist: false }, never);
		await transport.publish(b, [envelope(b, 2, "x".repeat(1500))], { mayExist: false }, never);
		await transport.publish(c, [envelope(c, 3, "x".repeat(1500))], { mayExist: false }, never);
		expect((await readPage(transport, a, BEGINNING)).entries).toHaveLength(0);
		expect((await readPage(transport, c, BEGINNING)).entries).toHaveLength(1);
		expect((await send(a, 4))[0]?.ok).toBe(true);
	});

	test("a refused payload makes no log and evicts nothing", async () => {
		const { transport, send, envelope } = await started({ maxEvents: 2, maxPayloadBytes: 1000 });
		await send(a, 1);
		await transport.publish(b, [envelope(b, 2, "x".repeat(1000))], { mayExist: false }, never);
		expect((await readPage(transport, a, BEGINNING)).entries).toHaveLength(1);
	});
});

test("[P6] the shelf's count of events and bytes is what it holds, over any history", () => {
	const limits = resolveLimits({
		maxEventsPerChannel: 5,
		maxEvents: 20,
		maxBytes: 3000,
		maxPayloadBytes: 900,
		retentionMs: 50,
	});
	const step = fc.record({
		channel: fc.nat(4),
		action: fc.constantFrom("send", "send", "send", "follow", "unfollow", "expire"),
		sizes: fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 7 }),
		ms: fc.nat(30),
	});
	fc.assert(
		fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
			const shelf = createShelf(limits, createMemoryStore());
			let now = 1000;
			let ids = 0;
			for (const { channel, action, sizes, ms } of steps) {
				now += ms;
				const log = shelf.open(channels[channel] as Channel);
				if (action === "follow") shelf.follow(log, collect());
				else if (action === "unfollow") shelf.follow(log, undefined);
				else if (action === "expire") shelf.expire(log, now);
				else {
					let offset = log.base + log.kept.length - log.head;
					const events = sizes.map((bytes) => {
						offset += 1;
						ids += 1;
						return { offset, id: `id-${ids}`, at: now, bytes, packed: undefined };
					});
					shelf.makeRoom(
						log,
						events.length,
						sizes.reduce((sum, size) => sum + size, 0),
					);
					for (const event of events) shelf.append(log, event);
				}
				const logs = channels.map((known) => shelf.peek(known));
				const kept = logs.flatMap((one) => one.kept.slice(one.head));
				const stats = shelf.stats();
				expect(stats.events).toBe(kept.length);
				expect(stats.bytes).toBe(kept.reduce((sum, event) => sum + event.bytes, 0));
				expect(stats.events + stats.logs).toBeLessThanOrEqual(limits.maxEvents);
				expect(stats.bytes).toBeLessThanOrEqual(limits.maxBytes);
				for (const one of logs) {
					const own = one.kept.slice(one.head);
					expect(own.map(({ offset }) => offset)).toEqual(own.map((_, n) => one.base + n + 1));
					expect(own.length).toBeLessThanOrEqual(limits.maxEventsPerChannel);
					expect(one.kept.slice(0, one.head).every(({ bytes }) => bytes === 0)).toBe(true);
					for (const event of own) expect(eventOf(one, event.id)).toBe(event);
					expect(one.ids?.size ?? own.length).toBe(own.length);
					expect(eventOf(one, "id-0")).toBe(undefined);
				}
			}
		}),
		{ seed: 20261124, numRuns: 200 },
	);
});

test("[P3] no history of sends, evictions and resumes hides a loss from a reader", async () => {
	const step = fc.record({
		channel: fc.nat(4),
		action: fc.constantFrom("send", "open", "resume"),
		count: fc.integer({ min: 1, max: 3 }),
	});
	await fc.assert(
		fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
			const { transport, send } = await started({ maxEventsPerChannel: 3, maxEvents: 9 });
			const sent = new Map<string, number[]>();
			const readers = new Map<string, { position: Position; seen: number }>();
			let n = 0;
			for (const { channel: index, action, count } of steps) {
				const channel = channels[index] as Channel;
				const all = sent.get(channel.key) ?? [];
				sent.set(channel.key, all);
				const reader = readers.get(channel.key);
				if (action === "send") {
					const batch = Array.from({ length: count }, () => (n += 1));
					await send(channel, ...batch);
					all.push(...batch);
				} else if (action === "open" || reader === undefined) {
					const [end] = await transport.ends([channel], never);
					readers.set(channel.key, { position: end as Position, seen: all.length });
				} else {
					const page = await readPage(transport, channel, reader.position);
					if (page.verdict === "whole") expect(numbers(page.entries)).toEqual(all.slice(reader.seen));
					const [end] = await transport.ends([channel], never);
					readers.set(channel.key, { position: end as Position, seen: all.length });
				}
			}
		}),
		{ seed: 20261124, numRuns: 200 },
	);
});

test("a log is plain data, so that very many fit", () => {
	expect(Object.values(createLog(a, 0, 0)).some((value) => typeof value === "function")).toBe(false);
});
