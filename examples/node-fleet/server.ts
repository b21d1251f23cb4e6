/**
 * One process of a fleet: run as many as you like behind any load balancer, without sticky sessions. They find each
 * other through NATS (NATS_URL); a change published in one reaches the MCP clients that listen at any other.
 */
import { createMcpHandler, type McpServerFactory } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { createFleetHandler } from "mcp-fanout/mcp";
import { userOf } from "./authenticate.ts";
import { buildServer } from "./build-server.ts";
import { serve } from "./serve.ts";

const fanout = await createFanout({ nats: { servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" } });
const build: McpServerFactory = (context) => buildServer(fanout, userOf(context));
const mcp = createMcpHandler(build, { bus: fanout.bus() });
const sessionOptions = { resumePosts: true };
const handler = createFleetHandler(mcp, { fanout, sessions: build, sessionOptions, principal: userOf });
const server = serve(handler, () => fanout.health());

process.once("SIGTERM", async () => {
	await handler.drain({ graceMs: 2_000 });
	server.close();
	await handler.close();
	await fanout.close();
	server.closeAllConnections();
});
