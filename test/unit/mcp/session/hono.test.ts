/** Behind Hono on Node: what it makes of the streams that sessions answer with. */
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { afterEach, expect, test, vi } from "vitest";
import { post, type SessionFleet, startSessions, tool } from "./fleet.ts";
import { get, open } from "./raw.ts";

let fleet: SessionFleet;
let server: Server;
afterEach(async () => {
	server.closeAllConnections();
	server.close();
	await fleet.stop();
});

test("a client that leaves its streams is no error: Hono would print one for each", async () => {
	const printed = vi.spyOn(console, "error");
	fleet = await startSessions(1, { sessionOptions: { responseMode: "sse" } });
	const [fanout, handler] = [fleet.fanouts[0], fleet.handlers[0]];
	const app = new Hono().all("/mcp", ({ req }) => handler?.fetch(req.raw) as Promise<Response>);
	server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }) as Server;
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
	const session = await open(fleet, 0);
	const running = Promise.withResolvers<void>();
	const leaving = new AbortController();
	const gone = vi.fn();
	server.on("request", (_req, res) => res.on("close", gone));
	fleet.tools.run = () => running.promise;
	for (const init of [get(session), post(tool("run"), session)]) {
		expect((await fetch(url, { ...init, signal: leaving.signal })).status).toBe(200);
	}
	leaving.abort();
	await vi.waitFor(() => expect(gone).toHaveBeenCalledTimes(2));
	expect(fanout?.health().streams).toBe(0);
	running.resolve();
	await vi.waitFor(() => expect(handler?.sessions).toBe(1));
	expect(printed).not.toHaveBeenCalled();
});
