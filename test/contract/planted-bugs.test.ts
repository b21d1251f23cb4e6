/** The contract suite must be able to fail: each planted bug is found by the case that is there for it. */
import { createServer, type Server } from "node:net";
import { type Harness, transportCases } from "mcp-fanout/testing/transport";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { FanoutError } from "../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import type { Page, Transport } from "../../lambda/layer/src/core/transport.ts";
import { createLocalTransport } from "../../lambda/layer/src/transports/local/index.ts";

const ids = createIds(systemClock);
const eventsPerChannel = 40;
let count = 0;
const leaks: Server[] = [];

afterAll(() => {
	for (const server of leaks) server.close();
});

type Bug = (transport: Transport) => Partial<Transport>;

function harnessWith(bug: Bug): Harness {
	return {
		createTransport: async () => {
			const parts = { clock: systemClock, ids, instanceId: `instance-${++count}` };
			const transport = createLocalTransport({ maxEventsPerChannel: eventsPerChannel }, parts);
			return { ...transport, place: transport.place, ...bug(transport) };
		},
		namespace: () => `planted-${++count}`,
		limits: { waitMs: 300, eventsPerChannel },
		alone: true,
	};
}

function pages(transport: Transport, change: (page: Page) => Page): Partial<Transport> {
	return {
		async *read(asks, signal) {
			for await (const page of transport.read(asks, signal)) yield change(page);
		},
	};
}

const bugs: Record<string, { readonly bug: Bug; readonly found: readonly string[] }> = {
	"a batch is taken backwards": {
		bug: (t) => ({ publish: async (c, batch, o, s) => (await t.publish(c, batch.toReversed(), o, s)).toReversed() }),
		found: ["order-batches"],
	},
	"an accepted event is not logged": {
		bug: (t) => ({
			publish: async (c, batch, o, s) => {
				const outcomes = await t.publish(c, batch.slice(0, -1), o, s);
				return [...outcomes, { ok: true, duplicate: false, durability: "memory", reach: "process" }];
			},
		}),
		found: ["accept-outcome", "stream-live"],
	},
	"a read leaves out its first entry": {
		bug: (t) => pages(t, (page) => ({ ...page, entries: page.entries.slice(1) })),
		found: ["read-everywhere"],
	},
	"a read repeats the entry it starts after": {
		bug: (t) => ({
			read: (asks, signal) =>
				t.read(
					asks.map((ask) =>
						"offset" in ask.from && ask.from.offset > 0
							? { ...ask, from: { ...ask.from, offset: ask.from.offset - 1 } }
							: ask,
					),
					signal,
				),
		}),
		found: ["read-everywhere"],
	},
	"retention is silent": {
		bug: (t) => pages(t, (page) => (page.verdict === "retention" ? { ...page, verdict: "whole" } : page)),
		found: ["read-retention", "cursor-retention"],
	},
	"another epoch is silent": {
		bug: (t) => pages(t, (page) => (page.verdict === "epoch" ? { ...page, verdict: "whole" } : page)),
		found: ["read-foreign"],
	},
	"an end is behind": {
		bug: (t) => ({
			ends: async (channels, signal) =>
				(await t.ends(channels, signal)).map((end) => end && { ...end, offset: Math.max(0, end.offset - 1) }),
		}),
		found: ["read-everywhere"],
	},
	"ready says the beginning": {
		bug: (t) => ({
			subscribe: (channel, subscriber) => {
				const { ready, close } = t.subscribe(channel, subscriber);
				return { ready: ready.then((end) => ({ ...end, offset: 0 })), close };
			},
		}),
		found: ["end-ready"],
	},
	"ids are not remembered": {
		bug: (t) => ({
			publish: (c, batch, o, s) =>
				t.publish(
					c,
					batch.map((envelope) => ({ ...envelope, id: ids.next() })),
					o,
					s,
				),
		}),
		found: ["accept-duplicate"],
	},
	"two spellings reach one log": {
		bug: (t) => ({
			publish: async (c, batch, o, s) => {
				const channel = { ...c, key: c.key.toLowerCase() };
				return t.publish(
					channel,
					batch.map((envelope) => ({ ...envelope, channel })),
					o,
					s,
				);
			},
			read: (asks, s) =>
				t.read(
					asks.map((ask) => ({ ...ask, channel: { ...ask.channel, key: ask.channel.key.toLowerCase() } })),
					s,
				),
		}),
		found: ["apart-hostile"],
	},
	"tenants share a log": {
		bug: (t) => {
			const merge = <C extends { key: string }>(c: C): C => ({ ...c, key: c.key.replace("/tenant2/", "/tenant/") });
			return {
				publish: async (c, batch, o, s) =>
					t.publish(
						merge(c),
						batch.map((envelope) => ({ ...envelope, channel: merge(envelope.channel) })),
						o,
						s,
					),
				read: (asks, s) =>
					t.read(
						asks.map((ask) => ({ ...ask, channel: merge(ask.channel) })),
						s,
					),
			};
		},
		found: ["apart-scopes"],
	},
	"a closed subscription is still called": {
		bug: (t) => ({
			subscribe: (channel, subscriber) => {
				const { ready, close } = t.subscribe(channel, subscriber);
				return { ready, close: () => void setTimeout(close, 100) };
			},
		}),
		found: ["apart-unsubscribed"],
	},
	"close closes nothing": {
		bug: () => ({ close: async () => {} }),
		found: ["close-twice"],
	},
	"a socket stays after close": {
		bug: (t) => {
			const server = createServer();
			leaks.push(server);
			return {
				start: async (host, signal) => {
					await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
					await t.start(host, signal);
				},
			};
		},
		found: ["close-leaves-nothing"],
	},
	"an oversized payload is taken": {
		bug: (t) => ({ capabilities: { ...t.capabilities, maxPayloadBytes: 1000 } }),
		found: ["accept-largest"],
	},
	"what is offered before the start is refused for good": {
		bug: (t) => {
			let isStarted = false;
			const error = new FanoutError("TransportUnavailable", "not started");
			return {
				start: async (host, signal) => {
					await t.start(host, signal);
					isStarted = true;
				},
				publish: async (...call) => (isStarted ? t.publish(...call) : [{ ok: false, uncertain: false, error }]),
			};
		},
		found: ["accept-unstarted"],
	},
	"an aborted call is made all the same": {
		bug: (t) => ({ publish: (c, batch, o) => t.publish(c, batch, o, new AbortController().signal) }),
		found: ["accept-aborted"],
	},
};

describe.each(Object.entries(bugs))("%s", (_name, { bug, found }) => {
	test.each(found)("is found by %s", async (id) => {
		const one = transportCases.find((known) => known.id === id);
		await expect(one?.run(harnessWith(bug))).rejects.toThrow();
	});
});

test("without a bug the same cases pass", async () => {
	const found = new Set(Object.values(bugs).flatMap((planted) => planted.found));
	for (const one of transportCases) if (found.has(one.id)) await one.run(harnessWith(() => ({})));
});

test("every case has an id of its own and cites its promises in its title", () => {
	expect(new Set(transportCases.map(({ id }) => id)).size).toBe(transportCases.length);
	for (const { title, promises } of transportCases) {
		expect(promises.length).toBeGreaterThan(0);
		for (const promise of promises) expect(title).toContain(`[${promise}]`);
	}
});
