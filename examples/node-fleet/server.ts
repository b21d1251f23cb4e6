/**
 * One process of a fleet: run as many as you like behind any load balancer, without sticky sessions. They find each
 * other through NATS (NATS_URL); a change published in one reaches the MCP clients that listen at any other.
 */
import { createServer } from "node:http";
import { hostHeaderValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, type McpServerFactory } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { createFleetHandler } from "mcp-fanout/mcp";
import { authenticate } from "./authenticate.ts";
import { buildServer } from "./build-server.ts";

const fanout = await createFanout({ nats: { servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" } });
const subject = (extra: Readonly<Record<string, unknown>> | undefined) => extra?.sub as string | undefined;
const build: McpServerFactory = ({ authInfo }) => buildServer(fanout, subject(authInfo?.extra));
const handler = createFleetHandler(createMcpHandler(build, { bus: fanout.bus() }), {
	fanout,
	sessions: build,
	principal: ({ authInfo }) => subject(authInfo.extra),
});
const serveMcp = toNodeHandler(handler);
// A page that a browser was led to by a rebound name is refused: list the names that your clients use.
const isOurHost = hostHeaderValidation((process.env.ALLOWED_HOSTS ?? "localhost,127.0.0.1").split(","));
const server = createServer((req, res) => {
	if (!isOurHost(req, res)) return;
	if (req.url === "/health") {
		const health = fanout.health();
		res
			.writeHead(health.ready ? 200 : 503)
			.end(JSON.stringify({ ...health, listens: handler.listens, pid: process.pid }));
		return;
	}
	const { method = "GET", url = "/" } = req;
	const auth = authenticate(req);
	serveMcp(Object.assign(req, { method, url }, auth && { auth }), res);
}).listen(Number(process.env.PORT ?? 3000));

process.once("SIGTERM", async () => {
	await handler.drain({ graceMs: 2_000 });
	server.close();
	await handler.close();
	await fanout.close();
	server.closeAllConnections();
});
