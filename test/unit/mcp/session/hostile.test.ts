import { afterEach, expect, test } from "vitest";
import { FanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { VERIFY_MS } from "../../../../lambda/layer/src/mcp/session/live-sessions.ts";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { settle } from "../../../support/settle.ts";
import { buildV2, type FleetOptions, hello, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { callTool, follow, get, open, remove } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};

const ping = { jsonrpc: "2.0", id: 2, method: "ping" };
const RELATED = "io.modelcontextprotocol/related-task";
/** Servers of the SDKs drop these without a word. */
const DROPPED = [
	{ ...ping, id: 1.5 },
	{ ...ping, id: 1e20 },
	{ ...ping, more: 1 },
	{ ...ping, result: {} },
	{ ...ping, params: { _meta: 5 } },
	{ ...ping, params: { _meta: null } },
	{ ...ping, params: { _meta: { progressToken: {} } } },
	{ ...ping, params: { _meta: { progressToken: 1.5 } } },
	{ ...ping, params: { _meta: { [RELATED]: 5 } } },
	{ ...ping, params: { _meta: { [RELATED]: null } } },
	{ jsonrpc: "2.0", id: 2, result: 5 },
	{ jsonrpc: "2.0", id: 2, error: { code: "x", message: "" } },
];

test.each(["v1", "v2"] as const)(
	"what a %s server would never answer is refused, and holds nothing",
	async (server) => {
		await start(1, { server, sessionOptions: { maxSessions: 1 } });
		const session = await open(fleet, 0);
		for (const message of DROPPED) expect((await fleet.call(0, post(message, session))).status).toBe(400);
		const batch = post([ping, { ...ping, id: 1.5 }], session, { "mcp-protocol-version": "2025-03-26" });
		expect((await fleet.call(0, batch)).status).toBe(400);
		const { params, ...first } = JSON.parse(String(hello().body));
		expect((await fleet.call(0, post({ ...first, params: { ...params, _meta: 5 } }))).status).toBe(400);
		const meta = { progressToken: 7, [RELATED]: { taskId: "t" }, other: null };
		expect((await fleet.call(0, post({ ...ping, params: { _meta: meta } }, session))).status).toBe(200);
		// The one place is free: a session with an open request would keep it.
		await open(fleet, 0);
	},
);

test("[P9] a session that is being looked up when its process closes is not taken over", async () => {
	const waiting: (() => void)[] = [];
	let isSlow = false;
	const store = (memory: Store, place: number): Store => ({
		...memory,
		async read(...args) {
			if (isSlow && place === 1) await new Promise<void>((resolve) => waiting.push(resolve));
			return memory.read(...args);
		},
	});
	await start(2, { store });
	const session = await open(fleet, 0);
	isSlow = true;
	const called = callTool(fleet, 1, session, "where");
	while (waiting.length === 0) await settle(5);
	await fleet.handlers[1]?.close();
	isSlow = false;
	for (const release of waiting) release();
	expect((await called).status).toBe(503);
	expect(fleet.handlers[1]?.sessions).toBe(0);
});

test("a session that makes room for others while it is looked up is taken over again, and its call answered", async () => {
	let isSlow = false;
	let release: (() => void) | undefined;
	const store = (memory: Store): Store => ({
		...memory,
		async read(...args) {
			if (isSlow) {
				isSlow = false;
				await new Promise<void>((resolve) => (release = resolve));
			}
			return memory.read(...args);
		},
	});
	await start(1, { store, sessionOptions: { maxSessions: 1 } });
	const session = await open(fleet, 0);
	await settle(VERIFY_MS);
	isSlow = true;
	const called = callTool(fleet, 0, session, "where");
	while (release === undefined) await settle(5);
	await open(fleet, 0);
	release();
	expect((await called).status).toBe(200);
});

test("a session that ends everywhere while it is taken over is not there, and that is no failure", async () => {
	const [building, built] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
	await start(2, {
		async build(place, { session }) {
			if (session.adopted) {
				building.resolve();
				await built.promise;
			}
			return buildV2(place, fleet.tools, session);
		},
	});
	const session = await open(fleet, 0);
	const called = callTool(fleet, 1, session, "where");
	await building.promise;
	expect((await fleet.call(0, remove(session))).status).toBe(200);
	built.resolve();
	expect((await called).status).toBe(404);
	expect(fleet.errors).toEqual([]);
});

test("a session whose stream ended since its record is gone is served no longer by the same process", async () => {
	let reads = Number.NaN;
	// Gone between the two looks of one sweep: at the server's session, and at its stream.
	const store = (memory: Store): Store => ({
		...memory,
		read: async (...args) => (++reads > 1 ? undefined : memory.read(...args)),
	});
	await start(1, { store, sessionOptions: { idleMs: 4_000 } });
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(0, get(session)));
	reads = 0;
	await stream.ended;
	expect((await callTool(fleet, 0, session, "where")).status).toBe(404);
});

test("[P9] a resumed POST stream ends with its handler, and tells of no error: its request runs on elsewhere", async () => {
	await start(2, { sessionOptions: { resumePosts: true, responseMode: "sse" } });
	let finish: (said: string) => void = () => {};
	fleet.tools.run = () => new Promise((resolve) => (finish = resolve));
	const session = await open(fleet, 0);
	const first = follow(await fleet.call(0, post(tool("run"), session)));
	while (first.frames.length === 0) await settle(5);
	await first.cancel();
	const id = first.frames[0]?.id;
	const older = follow(await fleet.call(1, get(session, id)));
	const newer = follow(await fleet.call(1, get(session, id)));
	await older.ended;
	expect(newer.isEnded).toBe(false);
	await fleet.handlers[1]?.close();
	await newer.ended;
	expect([...older.messages, ...newer.messages]).toEqual([]);
	finish("done");
	const last = follow(await fleet.call(0, get(session, id)));
	await last.ended;
	expect(last.messages).toMatchObject([{ id: 2, result: {} }]);
});

test("whatever this machine is called, loopback is for pages of loopback only", async () => {
	await start(1);
	const called = async (host: string, origin: string) =>
		(await fleet.call(0, post(ping, "unknown", { host, origin }))).status;
	const names = ["localhost", "localhost.", "app.localhost", "127.0.0.1", "127.1.2.3", "0.0.0.0", "[::1]", "[::]"];
	for (const name of [...names, "[::ffff:127.0.0.1]"]) {
		expect(await called(`${name}:3000`, "https://evil.example")).toBe(403);
		expect(await called("localhost:3000", "https://localhost.evil.example")).toBe(403);
		expect(await called(name, `http://${name}:8080`)).toBe(404);
	}
	expect(await called("mcp.example", "https://app.example")).toBe(404);
});

test("[P9] a client that has left before its stream is made leaves no stream", async () => {
	await start(1, { sessionOptions: { resumePosts: true, responseMode: "sse" } });
	fleet.tools.run = () => new Promise(() => {});
	const session = await open(fleet, 0);
	const first = follow(await fleet.call(0, post(tool("run"), session)));
	while (first.frames.length === 0) await settle(5);
	const gone = { signal: AbortSignal.abort() };
	const late = follow(await fleet.call(0, { ...get(session, first.frames[0]?.id), ...gone }));
	await late.ended;
	expect(late.messages).toEqual([]);
});

test("a session that nobody uses is not kept in use by being looked after", async () => {
	const clock = createFakeClock();
	await start(1, { clock, sessionOptions: { idleMs: 1_600 } });
	const session = await open(fleet, 0);
	await clock.advance(2_600);
	expect((await callTool(fleet, 0, session, "where")).status).toBe(404);
});

test("a principal that cannot be looked up now is asked for again, and nothing is told of what stands behind", async () => {
	const principal = () => {
		throw new FanoutError("TransportUnavailable", "broker.internal does not answer", { retryable: true });
	};
	await start(1, { principal });
	const refused = await fleet.call(0, hello(), { authInfo: {} });
	expect([refused.status, (await refused.text()).includes("broker.internal")]).toEqual([503, false]);
});

test("[P6] one id in two batches at once: one is answered, the other refused, and nothing waits for good", async () => {
	await start(2);
	const session = await open(fleet, 0, "2025-03-26");
	const batch = () => {
		// An answer for another process has to be passed on first: both are read before either request runs.
		const answer = { jsonrpc: "2.0", id: `${fleet.fanouts[1]?.instanceId}.1`, result: {} };
		return fleet.call(0, post([answer, tool("where", 7)], session));
	};
	const answers = await Promise.all([batch(), batch()]);
	expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400]);
});
