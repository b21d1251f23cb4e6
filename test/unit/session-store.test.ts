import { afterEach, expect, test } from "vitest";
import { type FanoutOptions, resolveOptions } from "../../lambda/layer/src/config/options.ts";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { createFanout, type Fanout } from "../../lambda/layer/src/fanout.ts";
import { openStore, storeName } from "../../lambda/layer/src/session-store.ts";
import { createMemoryStore, MemoryTable } from "../../lambda/layer/src/sessions/index.ts";
import { FakeBroker } from "../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../support/random.ts";

const open: Fanout[] = [];
async function make(options: FanoutOptions): Promise<Fanout> {
	const fanout = await createFanout(options);
	open.push(fanout);
	return fanout;
}
afterEach(async () => {
	await Promise.all(open.splice(0).map((fanout) => fanout.close()));
});

const shared = createFakeTransport(new FakeBroker(createRandom(1).next), { name: "shared" });
const cell = (environment: Record<string, string>) => ({ environment });
const nameOf = (options: FanoutOptions, transports: FanoutOptions["transports"] = []) =>
	storeName({ settings: resolveOptions(options, {}), transports: transports ?? [] });

test("sessions are kept where the first transport that a fleet shares can keep them", () => {
	const redis = { url: "redis://127.0.0.1" };
	expect(nameOf({})).toBe("memory");
	expect(nameOf({ local: {}, nats: {} })).toBe("nats");
	expect(nameOf({ nats: {}, redis })).toBe("nats");
	expect(nameOf({ nats: { priority: 9 }, redis })).toBe("redis");
	expect(nameOf({ nats: { jetstream: false }, redis })).toBe("redis");
	expect(nameOf({ nats: { enabled: false }, redis })).toBe("redis");
	expect(nameOf({ aws: cell({ FANOUT_OWNERS_TABLE: "owners" }) })).toBe("dynamodb");
	expect(nameOf({ aws: cell({}), registry: { table: "mine" } })).toBe("dynamodb");
	expect(nameOf({ nats: {}, registry: { store: "memory" } })).toBe("memory");
});

test("a fleet whose transports keep no sessions is told, not left with a registry that others do not see", () => {
	expect(() => nameOf({ transports: [shared] }, [shared])).toThrow(/no store for sessions: shared keeps none/);
	const nats = { ...shared, name: "nats" };
	expect(() => nameOf({ nats: { jetstream: false } }, [nats])).toThrow(/NATS needs JetStream/);
	expect(() => nameOf({ registry: { store: "files" as "memory" } })).toThrow(/registry.store must be "auto"/);
	expect(() => nameOf({ registry: { leaseMs: 0 } })).toThrow(/registry.leaseMs must be a positive number/);
});

test.each(["nats", "redis", "dynamodb"] as const)("%s as a store needs to be told where it is", async (store) => {
	const parts = { transports: [], instanceId: "a", clock: undefined as never, random: () => 0, onerror: () => {} };
	const opened = async () => {
		const settings = resolveOptions({ local: {}, registry: { store } }, {});
		return openStore({ ...parts, settings });
	};
	await expect(opened()).rejects.toMatchObject({ code: "ConfigInvalid" });
});

test("[P8] [P9] a fanout owns sessions, says how many, gives them back in a drain, and leaves the store", async () => {
	const table = new MemoryTable();
	const [a, b] = await Promise.all(
		[1, 2].map(() => make({ local: {}, registry: { store: createMemoryStore({ table }) } })),
	);
	const session = createChannel("session", "one");
	const { hold } = await (a as Fanout).sessions.claim(session, { principal: "ann" });
	expect((a as Fanout).health()).toMatchObject({ owned: 1, ready: true });
	await expect((b as Fanout).sessions.claim(session, { principal: "ann" })).rejects.toMatchObject({ code: "Conflict" });
	const drained = (a as Fanout).drain({ graceMs: 5_000 });
	expect((a as Fanout).health().ready).toBe(false);
	await drained;
	expect([hold.acting, (a as Fanout).health().owned]).toEqual([false, 0]);
	const taken = await (b as Fanout).sessions.claim(session, { principal: "ann" });
	expect(taken).toMatchObject({ created: false, record: { epoch: 2 } });
	await (a as Fanout).close();
	await expect((a as Fanout).sessions.claim(session)).rejects.toMatchObject({ code: "Closed" });
});

test("[P8] the streams of a session that another instance took over end with `moved`, and no other", async () => {
	const table = new MemoryTable();
	const store = createMemoryStore({ table });
	let isCut = false;
	const away = async () => Promise.reject(new Error("cut"));
	const guarded: typeof store = {
		...store,
		read: (...args) => (isCut ? away() : store.read(...args)),
		write: (...args) => (isCut ? away() : store.write(...args)),
	};
	const registry = { leaseMs: 200 };
	const a = await make({ local: {}, registry: { ...registry, store: guarded } });
	const b = await make({ local: {}, registry: { ...registry, store: createMemoryStore({ table }) } });
	const session = createChannel("session", "one");
	await a.sessions.claim(session);
	const reasons = ["one", "other"].map((id) => {
		const closed = Promise.withResolvers<string>();
		const onStream = (stream: { readonly closed: Promise<string> }) => void stream.closed.then(closed.resolve);
		const response = a.response(new Request("http://x/"), { session: id, onStream });
		return { closed: closed.promise, text: response.text() };
	});
	isCut = true;
	await b.sessions.claim(session, { waitMs: 5_000 });
	isCut = false;
	expect(await reasons[0]?.closed).toBe("moved");
	expect(await reasons[0]?.text).toContain('"reason":"moved"');
	expect(a.health().streams).toBe(1);
	await a.close();
	expect(await reasons[1]?.closed).toBe("shutdown");
});
