import { afterEach, expect, test } from "vitest";
import { type FleetOptions, hello, post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { callTool, get, open, remove } from "./raw.ts";

let fleet: SessionFleet;
afterEach(() => fleet?.stop());
const start = async (size: number, options?: FleetOptions) => {
	fleet = await startSessions(size, options);
	return fleet;
};
const status = async (place: number, init: RequestInit) => (await fleet.call(place, init)).status;
const list = { jsonrpc: "2.0", id: 9, method: "tools/list" };

test("a request without a session is refused with 400, one of an unknown session with 404, on every process", async () => {
	await start(2);
	expect(await status(0, post(list))).toBe(400);
	expect(await status(0, get(undefined))).toBe(400);
	expect(await status(0, { method: "DELETE" })).toBe(400);
	for (const session of ["unknown", crypto.randomUUID(), "../x", "ä"]) {
		const init = { ...post(list), headers: { ...post(list).headers, "mcp-session-id": session } };
		expect(await status(1, init)).toBe(404);
	}
	expect(await status(1, get("unknown"))).toBe(404);
	expect(await status(1, remove("unknown"))).toBe(404);
});

test("sessionless: stateless passes what names no session on to the handler", async () => {
	await start(1, { sessionOptions: { sessionless: "stateless" } });
	const response = await fleet.call(0, post(list));
	expect(response.status).toBe(200);
	expect(await response.text()).toContain('"where"');
	expect((await fleet.call(0, hello())).headers.get("mcp-session-id")).not.toBeNull();
});

test("a 2025 client gets a session, a modern one is the handler's, at one address", async () => {
	await start(1);
	const meta = {
		"io.modelcontextprotocol/protocolVersion": "2026-07-28",
		"io.modelcontextprotocol/clientInfo": { name: "x", version: "1" },
		"io.modelcontextprotocol/clientCapabilities": {},
	};
	const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };
	const modern = post({ ...list, params: { _meta: meta } }, undefined, headers);
	expect(await (await fleet.call(0, modern)).text()).toContain('"where"');
	// Without the header the body says it; the handler then refuses what lacks it.
	expect(await status(0, post({ ...list, params: { _meta: meta } }))).toBe(400);
	const session = await open(fleet, 0);
	expect(await (await fleet.call(0, post(list, session))).text()).toContain('"where"');
});

test("what the client accepts, sends and speaks is looked at first", async () => {
	await start(1, { sessionOptions: { maxBodyBytes: 2_000 } });
	const session = await open(fleet, 0);
	const known = post(list, session);
	expect(await status(0, { ...known, headers: { ...known.headers, accept: "application/json" } })).toBe(406);
	expect(await status(0, get(session, undefined, { accept: "application/json" }))).toBe(406);
	expect(await status(0, { ...known, headers: { ...known.headers, "content-type": "text/plain" } })).toBe(415);
	expect(await status(0, { ...known, body: "{" })).toBe(400);
	expect(await status(0, { ...known, body: JSON.stringify({ ...list, params: { pad: "x".repeat(2_000) } }) })).toBe(
		413,
	);
	expect(await status(0, post(list, session, { "mcp-protocol-version": "2025-99-99" }))).toBe(400);
	expect(await status(0, get(session, undefined, { "mcp-protocol-version": "2025-99-99" }))).toBe(400);
	expect(await status(0, post(list, session, { "mcp-protocol-version": "2025-06-18" }))).toBe(200);
	expect(await status(0, { method: "PUT", headers: { "mcp-session-id": session } })).toBe(405);
});

test("Host and Origin: what is configured, and pages of elsewhere never reach a loopback server", async () => {
	await start(1);
	const from = (origin: string, host = "localhost:3000") => {
		const init = hello();
		return { ...init, headers: { ...init.headers, origin, host } };
	};
	expect(await status(0, from("https://evil.example"))).toBe(403);
	expect(await status(0, from("http://localhost:5173"))).toBe(200);
	expect(await status(0, from("https://app.example", "mcp.example"))).toBe(200);
	await fleet.stop();
	await start(1, { sessionOptions: { allowedHosts: ["mcp.example"], allowedOrigins: ["https://app.example"] } });
	expect(await status(0, from("https://app.example", "mcp.example:8443"))).toBe(200);
	expect(await status(0, from("https://app.example", "rebound.example"))).toBe(403);
	expect(await status(0, from("https://other.example", "mcp.example"))).toBe(403);
});

test("batches are of 2025-03-26 only, answered as one; ids in one session are used once at a time", async () => {
	await start(1);
	const ping = (id: number) => ({ jsonrpc: "2.0", id, method: "ping" });
	const old = await open(fleet, 0, "2025-03-26");
	const answers = await (await fleet.call(0, post([ping(1), ping(2)], old))).json();
	expect((answers as { id: number }[]).map(({ id }) => id).sort()).toEqual([1, 2]);
	expect(await status(0, post([{ jsonrpc: "2.0", method: "notifications/roots/list_changed" }], old))).toBe(202);
	expect(await status(0, post([ping(1), ping(1)], old))).toBe(400);
	expect(
		await status(
			0,
			post(
				Array.from({ length: 101 }, (_, n) => ping(n)),
				old,
			),
		),
	).toBe(400);
	const young = await open(fleet, 0, "2025-06-18");
	expect(await status(0, post([ping(1)], young))).toBe(400);
});

test("DELETE ends a session on every process that has it", async () => {
	await start(3);
	const session = await open(fleet, 0);
	for (const place of [0, 1, 2]) expect((await callTool(fleet, place, session, "where")).status).toBe(200);
	expect(await status(2, remove(session))).toBe(200);
	await expect.poll(() => fleet.handlers.map(({ sessions }) => sessions)).toEqual([0, 0, 0]);
	for (const place of [0, 1, 2]) expect((await callTool(fleet, place, session, "where")).status).toBe(404);
	expect(await status(0, remove(session))).toBe(404);
});

test("DELETE during a call: the caller hears that the session has ended, and the call is cancelled", async () => {
	await start(2);
	const session = await open(fleet, 0);
	const running = Promise.withResolvers<AbortSignal>();
	fleet.tools.run = (_place, signal) => {
		running.resolve(signal);
		return new Promise(() => {});
	};
	const call = fleet.call(0, post(tool("run"), session));
	const signal = await running.promise;
	expect(await status(1, remove(session))).toBe(200);
	expect(await (await call).text()).toContain("the session has ended");
	await expect.poll(() => signal.aborted).toBe(true);
});

test("a session is its principal's only: another's is not there, nor is it to who is anonymous", async () => {
	await start(2, { principal: ({ authInfo }) => authInfo.extra?.sub as string | undefined });
	const as = (sub: string) => ({ authInfo: { extra: { sub } } });
	const session = await open(fleet, 0, undefined, as("ann"));
	for (const place of [0, 1]) {
		expect((await callTool(fleet, place, session, "where", as("ann"))).status).toBe(200);
		expect((await callTool(fleet, place, session, "where", as("bob"))).status).toBe(404);
		expect((await callTool(fleet, place, session, "where")).status).toBe(404);
		expect((await fleet.call(place, get(session), as("bob"))).status).toBe(404);
		expect((await fleet.call(place, remove(session), as("bob"))).status).toBe(404);
	}
	expect((await fleet.call(0, hello(), { authInfo: { extra: {} } })).status).toBe(403);
	expect((await callTool(fleet, 1, session, "where", as("ann"))).status).toBe(200);
});
