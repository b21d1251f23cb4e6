/** Sessions on functions: each place hears what others tell it only while it has to, and nothing stays at work in it. */
import { afterEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import { leaseOver } from "../../../../lambda/layer/src/core/lease.ts";
import type { Fanout } from "../../../../lambda/layer/src/fanout.ts";
import type { FleetHandler } from "../../../../lambda/layer/src/mcp/index.ts";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { type Era, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { callTool, follow, get, open, remove } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, server: Era = "v2", clock: Clock = systemClock) => {
	fleet = await startSessions(size, { follow: "held", server, clock });
	return fleet;
};
const at = (place: number) => fleet.fanouts[place] as Fanout;
const lanes = (place: number) => at(place).health().lanes;
const sessions = (place: number) => (fleet.handlers[place] as FleetHandler).sessions;
const settle = () => Promise.all(fleet.fanouts.map((fanout) => fanout.settle()));
const status = async (place: number, init: RequestInit) => (await fleet.call(place, init)).status;
const cancel = (requestId: unknown) => ({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } });

test("[P9] opening and a plain call follow nothing, and no session stays at work", async () => {
	const followed: number[] = [];
	await start(2);
	fleet.tools.run = async (place) => followed.push(lanes(place));
	const session = await open(fleet, 0);
	await settle();
	expect((await callTool(fleet, 1, session, "run")).body).toContain(`"text":"1"`);
	expect([sessions(0), sessions(1)]).toEqual([0, 1]);
	await settle();
	expect([followed, sessions(1)]).toEqual([[0], 0]);
	expect((await callTool(fleet, 1, session, "where")).status).toBe(200);
	expect(fleet.errors).toEqual([]);
});

test("[P3] what was said before the first GET stream is heard on it, wherever it is", async () => {
	await start(3);
	const session = await open(fleet, 0);
	await settle();
	await callTool(fleet, 1, session, "announce");
	await settle();
	const stream = follow(await fleet.call(2, get(session)));
	await expect.poll(() => stream.messages.map(({ method }) => method)).toEqual(["notifications/tools/list_changed"]);
	expect(lanes(2)).toBeGreaterThan(0);
	await callTool(fleet, 1, session, "announce");
	await expect.poll(() => stream.messages.length).toBe(2);
	const newer = follow(await fleet.call(1, get(session)));
	await stream.ended;
	await settle();
	expect(lanes(2)).toBe(0);
	expect(await status(0, remove(session))).toBe(200);
	await newer.ended;
	for (const place of [0, 1, 2]) expect(await status(place, post(tool("where"), session))).toBe(404);
});

// Servers of v1 ask on the call's own stream, those of v2 on the session's.
test.each(["v1", "v2"] as const)(
	"an ask of a %s server is heard of from before it is said, and its answer may come by any process",
	async (server) => {
		await start(3, server);
		const session = await open(fleet, 0);
		const gets = follow(await fleet.call(2, get(session)));
		const called = fleet.call(0, post(tool("ask"), session)).then(async (response) => {
			if (server === "v2") return response.text();
			const stream = follow(response);
			await expect.poll(() => stream.messages.length).toBe(1);
			gets.messages.push(...stream.messages);
			await stream.ended;
			return JSON.stringify(stream.messages.at(-1));
		});
		await expect.poll(() => gets.messages.length).toBe(1);
		expect(lanes(0)).toBeGreaterThan(0);
		const result = { action: "accept", content: { name: "ann" } };
		expect(await status(1, post({ jsonrpc: "2.0", id: gets.messages[0]?.id, result }, session))).toBe(202);
		expect(await called).toContain("ann");
		await settle();
		expect([lanes(0), lanes(1)]).toEqual([0, 0]);
	},
);

test("a call that takes long is cancelled through another process", async () => {
	await start(2);
	const aborted = Promise.withResolvers<void>();
	fleet.tools.run = (_place, signal) =>
		new Promise(() => signal.addEventListener("abort", () => aborted.resolve(), { once: true }));
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(0, post(tool("run", 7), session)));
	await expect.poll(() => lanes(0)).toBeGreaterThan(0);
	expect(await status(1, post(cancel(7), session))).toBe(202);
	await aborted.promise;
	await stream.ended;
});

test("a subscription stands with the GET stream elsewhere before its client hears so", async () => {
	// That is waited for so long as this clock says.
	await start(2, "v2", createFakeClock());
	const session = await open(fleet, 0);
	const stream = follow(await fleet.call(1, get(session)));
	const subscribe = { jsonrpc: "2.0", id: 3, method: "resources/subscribe", params: { uri: "docs://a" } };
	expect(await status(0, post(subscribe, session))).toBe(200);
	await at(0).notify.resourceUpdated("docs://a");
	await expect.poll(() => stream.messages.map(({ method }) => method)).toEqual(["notifications/resources/updated"]);
	await settle();
});

describe("at the end of a function's time", () => {
	const waiting = async (id: number) => {
		await start(2);
		fleet.tools.run = () => new Promise(() => {});
		const session = await open(fleet, 0);
		const over = new AbortController();
		const response = await fleet.call(0, { ...post(tool("run", id), session), signal: over.signal });
		return { session, over, stream: follow(response) };
	};

	test("a call without an answer gets an error, and its stream ends in good order", async () => {
		const { over, stream } = await waiting(7);
		over.abort(leaseOver(1_000));
		await stream.ended;
		expect(stream.messages).toMatchObject([{ id: 7, error: { code: -32_000 } }]);
		await settle();
		expect([sessions(0), lanes(0)]).toEqual([0, 0]);
	});

	test("an ask that nobody waits for any more is answered in vain", async () => {
		await start(2, "v1");
		const session = await open(fleet, 0);
		const over = new AbortController();
		const stream = follow(await fleet.call(0, { ...post(tool("ask"), session), signal: over.signal }));
		await expect.poll(() => stream.messages.length).toBe(1);
		over.abort(leaseOver(1_000));
		await stream.ended;
		expect(stream.messages[1]).toMatchObject({ id: 2, error: { code: -32_000 } });
		await settle();
		const answer = { jsonrpc: "2.0", id: stream.messages[0]?.id, result: { action: "cancel" } };
		expect(await status(1, post(answer, session))).toBe(202);
		expect((await callTool(fleet, 1, session, "where")).status).toBe(200);
	});
});

test("a GET of a session holds a stream, and nothing else of it does", async () => {
	await start(1);
	const [handler] = fleet.handlers as [FleetHandler];
	const asked = (init: RequestInit) => handler.holds(new Request("http://localhost/mcp", init));
	const headers = { accept: "text/event-stream", "mcp-session-id": "x", "mcp-protocol-version": "2025-11-25" };
	expect(asked({ headers })).toBe(true);
	expect(asked({ headers: { ...headers, accept: "Text/Event-Stream;q=1" } })).toBe(true);
	expect(asked({ headers: { accept: headers.accept } })).toBe(false);
	expect(asked(post(tool("run"), "x"))).toBe(false);
	expect(asked({ method: "DELETE", headers })).toBe(false);
});

test.each([1, 4, 16])(
	"a GET that is being opened while its handler closes, %s turns later, ends with it",
	async (turns) => {
		await start(2);
		const session = await open(fleet, 0);
		await settle();
		const asked = fleet.call(1, get(session));
		for (let turn = 0; turn < turns; turn += 1) await undefined;
		const closing = (fleet.handlers[1] as FleetHandler).close();
		const response = await asked;
		expect(response.status).toBe(200);
		await follow(response).ended;
		await closing;
		expect([lanes(1), at(1).health().streams]).toEqual([0, 0]);
	},
);
