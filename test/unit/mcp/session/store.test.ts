import { beforeEach, expect, test } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { createIds } from "../../../../lambda/layer/src/core/ids.ts";
import type { SessionFacts } from "../../../../lambda/layer/src/mcp/session/facts.ts";
import type { SessionHost } from "../../../../lambda/layer/src/mcp/session/host.ts";
import { SessionStore } from "../../../../lambda/layer/src/mcp/session/store.ts";
import { createMemoryStore } from "../../../../lambda/layer/src/sessions/memory-store.ts";
import type { Registry } from "../../../../lambda/layer/src/sessions/port.ts";
import { MAX_STATE_BYTES } from "../../../../lambda/layer/src/sessions/record.ts";
import { createRegistry } from "../../../../lambda/layer/src/sessions/registry.ts";
import { createFakeClock, type FakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../../lambda/layer/src/testing/seeded.ts";

const EXPIRY = { idleMs: 60_000, maxAgeMs: 600_000 };
const channel = createChannel("session", "one");
const FACTS: SessionFacts = {
	...{ initialize: {}, protocol: "2025-11-25", capabilities: {}, uris: [] },
	get: { instance: "", n: 0, floor: "" },
};

let clock: FakeClock;
let registry: Registry;

beforeEach(() => {
	clock = createFakeClock();
	const ids = createIds(clock, createFill(1));
	registry = createRegistry({ store: createMemoryStore({ clock }), namespace: "default", clock, ids });
});

const storeOf = (of: Registry) =>
	new SessionStore({ clock, registry: async () => of } as unknown as SessionHost, EXPIRY);
const subscribe = (store: SessionStore, uri: string) =>
	store.amend(channel, ({ facts }) => ({ facts: { ...facts, uris: [...facts.uris, uri] } }));

test("a record that is touched is told as it is then: another process may have changed it meanwhile", async () => {
	const other = storeOf(registry);
	await other.create(channel, undefined, FACTS, null);
	await clock.advance(EXPIRY.idleMs / 2);
	let isFirst = true;
	const slow: Registry = {
		...registry,
		async update(...args) {
			if (isFirst) await subscribe(other, "a://1");
			isFirst = false;
			return registry.update(...args);
		},
	};
	expect((await storeOf(slow).read(channel))?.facts.uris).toEqual(["a://1"]);
});

test("changes that are asked for at once are one write, and one that no record takes fails alone", async () => {
	let writes = 0;
	const counted: Registry = {
		...registry,
		async update(...args) {
			writes += 1;
			return registry.update(...args);
		},
	};
	const store = storeOf(counted);
	await store.create(channel, undefined, FACTS, null);
	const uris = Array.from({ length: 50 }, (_, n) => `a://${n}`);
	await Promise.all(uris.map((uri) => subscribe(store, uri)));
	expect([(await store.read(channel))?.facts.uris, writes]).toEqual([uris, 2]);
	const [, large, thrown, last] = await Promise.allSettled([
		subscribe(store, "a://first"),
		store.amend(channel, () => ({ state: "x".repeat(MAX_STATE_BYTES) })),
		store.amend(channel, () => {
			throw new Error("not this");
		}),
		subscribe(store, "a://last"),
	]);
	expect(large).toMatchObject({ reason: { code: "PayloadTooLarge" } });
	expect(thrown).toMatchObject({ reason: { message: "not this" } });
	expect(last).toMatchObject({ value: { facts: { uris: [...uris, "a://first", "a://last"] } } });
	await store.remove(channel);
	expect(await subscribe(store, "a://gone")).toBeUndefined();
});
