import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import type { Transport } from "../../lambda/layer/src/core/transport.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { createMemoryStore } from "../../lambda/layer/src/sessions/memory-store.ts";
import { DEFAULT_STREAM_LIMITS } from "../../lambda/layer/src/stream/port.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";

const open: Fanout[] = [];
async function make(options: Parameters<typeof createFanout>[0]): Promise<Fanout> {
	const fanout = await createFanout(options);
	open.push(fanout);
	return fanout;
}
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

/** A transport whose start fails so often. */
function shy(failures: number, name = "shy"): Transport & { starts: number; closed: number } {
	const inner = createFakeTransport(new FakeBroker(createRandom(1).next), { name });
	const transport = {
		...inner,
		starts: 0,
		closed: 0,
		async start() {
			transport.starts += 1;
			if (transport.starts <= failures) {
				throw new FanoutError("TransportUnavailable", "nothing listens at broker.example:4222 within 1000 ms", {
					retryable: true,
				});
			}
		},
		async close() {
			transport.closed += 1;
			await inner.close();
		},
	};
	return transport;
}

test.each([
	["an id", { method: "notifications/message", id: 1 }],
	["no method", { params: {} }],
	["positional params", { method: "notifications/message", params: [1] }],
	["a foreign version", { jsonrpc: "1.0", method: "notifications/message" }],
	["a cycle", { method: "notifications/message", params: { big: 1n } }],
	["nothing", null],
])("a notification with %s is refused as InvalidMessage", async (_what, input) => {
	const fanout = await make({ local: {} });
	await expect(fanout.to({ all: true }).send(input as never)).rejects.toMatchObject({ code: "InvalidMessage" });
});

test.each([
	[{}],
	[{ session: "a", topic: "b" }],
	[{ session: "" }],
	[{ topic: "\ud800" }],
	[{ topic: "x".repeat(600) }],
	[{ all: true, topic: "a" }],
])("the target %o is refused as InvalidChannel", async (target) => {
	const fanout = await make({ local: {} });
	expect(() => fanout.to(target as never)).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
});

test("[P1] a receipt names lane, reach and durability; nothing accepted is AllBroadcastersFailed with every cause", async () => {
	const broker = new FakeBroker(createRandom(1).next);
	const fanout = await make({ transports: [createFakeTransport(broker)], timeoutMs: 200 });
	const receipt = await fanout.notify.toolsChanged();
	expect(receipt.accepted).toMatchObject([{ lane: "fake", reach: "fleet", durability: "memory", duplicate: false }]);
	broker.faults.refuse = 1;
	const failed = await fanout.notify.toolsChanged().catch((error) => error);
	expect(failed).toMatchObject({ code: "AllBroadcastersFailed", retryable: true });
	expect(failed.causes).toHaveLength(1);
});

test("[P1] local beside a transport of wider reach is no lane: local success alone is not success", async () => {
	const broker = new FakeBroker(createRandom(1).next);
	broker.faults.refuse = 1;
	const transports = [createFakeTransport(broker)];
	const fanout = await make({ local: {}, transports, timeoutMs: 100, outbox: { maxEnvelopes: 0 } });
	await expect(fanout.notify.toolsChanged()).rejects.toMatchObject({ code: "AllBroadcastersFailed" });
	const keeping = await make({ local: {}, transports: [createFakeTransport(broker)], timeoutMs: 100 });
	expect(await keeping.notify.toolsChanged()).toMatchObject({ accepted: [], queued: [{ lane: "fake" }], failed: [] });
	expect(keeping.health().targets).toMatchObject([
		{ lane: "local", breaker: "closed", outbox: { envelopes: 0 } },
		{ lane: "fake", outbox: { envelopes: 1, dropped: 0 } },
	]);
	broker.faults.refuse = 0;
});

test("startup fail: a transport that does not start stops everything, with its endpoint in the error, and all are closed", async () => {
	const broken = shy(Number.POSITIVE_INFINITY);
	const fine = shy(0, "fine");
	await expect(createFanout({ transports: [broken, fine] })).rejects.toMatchObject({
		code: "TransportUnavailable",
		message: expect.stringContaining("broker.example:4222"),
	});
	expect([broken.closed, fine.closed]).toEqual([1, 1]);
});

test("startup degrade: one is enough, the other is tried again; when none starts it fails", async () => {
	const late = shy(1);
	const errors: string[] = [];
	const fanout = await make({
		transports: [late, shy(0, "fine")],
		startup: "degrade",
		onerror: (error) => errors.push(error.code),
	});
	expect(errors).toContain("TransportUnavailable");
	await expect.poll(() => late.starts, { timeout: 5_000 }).toBe(2);
	await fanout.close();
	await expect(createFanout({ transports: [shy(9)], startup: "degrade" })).rejects.toMatchObject({
		code: "TransportUnavailable",
	});
});

test("[P9] a transport that hangs at start is given up at the deadline, which the error names", async () => {
	const hanging: Transport = { ...shy(0), start: () => new Promise(() => {}) };
	await expect(createFanout({ transports: [hanging], startTimeoutMs: 50 })).rejects.toThrow("50 ms");
});

test("[P9] close is idempotent, and afterwards every call says Closed", async () => {
	const fanout = await make({ local: {} });
	const bus = fanout.bus();
	await Promise.all([fanout.close(), fanout.close()]);
	await expect(fanout.notify.toolsChanged()).rejects.toMatchObject({ code: "Closed" });
	bus.publish({ kind: "tools_list_changed" });
	await expect(bus.flush()).rejects.toMatchObject({ code: "AllBroadcastersFailed" });
	expect(fanout.health().ready).toBe(false);
});

test("a request that comes after the close is answered on its own connection, as one before the end of it is", async () => {
	const fanout = await make({ local: {} });
	await fanout.close();
	expect(await fanout.response(new Request("http://x/")).text()).toContain('{"reason":"shutdown"}');
});

test("a channel that is none is the caller's mistake, and rejects", async () => {
	const fanout = await make({ local: {} });
	const published = fanout.publish({ key: "none" } as never, { method: "notifications/message" });
	await expect(published).rejects.toMatchObject({ code: "InvalidChannel" });
});

test.each([
	[{ startup: "maybe" }, "startup"],
	[{ timeoutMs: -1 }, "timeoutMs"],
	[{ namespace: "" }, "namespace"],
	[{ streams: { heartbeatMs: 0 } }, "streams.heartbeatMs"],
	[{ streams: { maxQueuedBytes: Number.NaN } }, "streams.maxQueuedBytes"],
	[{ streams: { maxStream: 5 } }, "streams.maxStream"],
	[{ publisher: { maxQueued: "many" } }, "publisher.maxQueued"],
	[{ local: { maxEvents: 0 } }, "maxEvents"],
	[{ local: {}, registry: { store: "redis" } }, "registry.store"],
	[{ local: {}, nats: { enabled: false }, registry: { store: "nats" } }, "registry.store"],
	[{ local: {}, registry: { store: "dynamodb" } }, "registry.table"],
	[{ aws: { environment: {} } }, "AWS_REGION"],
	[{ aws: { environment: { AWS_REGION: "eu-west-1" } } }, "FANOUT_REGIONS"],
])("options %o are refused as ConfigInvalid, naming the key", async (options, key) => {
	await expect(createFanout(options as never)).rejects.toMatchObject({
		code: "ConfigInvalid",
		message: expect.stringContaining(key),
	});
});

test("[P9] a transport that fails to close is reported, and keeps no other from closing", async () => {
	const errors: string[] = [];
	const broken: Transport = { ...shy(0, "broken"), close: () => Promise.reject(new Error("socket")) };
	const fine = shy(0, "fine");
	const fanout = await make({ transports: [broken, fine], onerror: (error) => errors.push(error.message) });
	await fanout.close();
	expect(errors).toContainEqual(expect.stringContaining("did not close cleanly"));
	expect(fine.closed).toBe(1);
});

test("[P6] a bound that is there without a value is the default, not none", async () => {
	const fanout = await make({ local: {}, streams: { maxStreams: undefined, maxQueuedFrames: 4 } as never });
	const statuses = Array.from({ length: DEFAULT_STREAM_LIMITS.maxStreams + 1 }, () => {
		return fanout.response(new Request("http://x/")).status;
	});
	expect(statuses.slice(-2)).toEqual([200, 503]);
});

test("[P9] a session store that fails to close is reported, and keeps nothing else from closing", async () => {
	const errors: string[] = [];
	const store = { ...createMemoryStore({ clock: systemClock, retentionMs: 60_000 }) };
	store.close = () => Promise.reject(new Error("socket"));
	const fine = shy(0, "fine");
	const fanout = await make({
		transports: [fine],
		registry: { store },
		onerror: (error) => errors.push(error.message),
	});
	await fanout.sessions.registry();
	await fanout.close();
	expect(errors).toContainEqual(expect.stringContaining("socket"));
	expect(fine.closed).toBe(1);
});

test.each([undefined, {}, { graceMs: -1 }, { graceMs: "2s" }, { graceMs: 10, notice: 5 }])(
	"a drain that says %j is refused, and nothing goes away",
	async (how) => {
		const fanout = await createFanout({ local: {} });
		await expect(fanout.drain(how as never)).rejects.toMatchObject({ code: "ConfigInvalid" });
		expect(fanout.health().ready).toBe(true);
		await fanout.drain({ graceMs: 10 });
		expect(fanout.health().ready).toBe(false);
		await fanout.close();
	},
);
