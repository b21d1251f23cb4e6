/**
 * A Hono application with an MCP server in it. Run as many as you like behind any load balancer: with NATS_URL they are
 * one fleet, without it each is alone. An ordinary route tells every MCP client, wherever it listens.
 */
import { serve } from "@hono/node-server";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { Hono } from "hono";
import { createFanout } from "mcp-fanout";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildServer } from "./build-server.ts";

const { NATS_URL, PORT = "3000" } = process.env;
const fanout = await createFanout(NATS_URL === undefined ? {} : { nats: { servers: NATS_URL } });
const handler = createFleetHandler(createMcpHandler(buildServer, { bus: fanout.bus() }), { fanout });

const app = new Hono();
app.all("/mcp", (context) => handler.fetch(context.req.raw));
app.put("/pages/:name", async (context) => {
	const { accepted } = await fanout.notify.resourceUpdated(`docs://${context.req.param("name")}`);
	return context.json(accepted.map(({ lane, reach }) => `${lane} (${reach})`));
});
app.get("/health", (context) => {
	const health = fanout.health();
	return context.json({ ...health, listens: handler.listens, pid: process.pid }, health.ready ? 200 : 503);
});
const server = serve({ fetch: app.fetch, port: Number(PORT) });

process.once("SIGTERM", async () => {
	await handler.drain({ graceMs: 2_000 });
	server.close();
	await handler.close();
	await fanout.close();
});
