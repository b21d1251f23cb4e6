/**
 * Sessions of the 2025 era, on a server of the SDK's v1 line, as one process of a fleet: run as many as you like behind
 * any load balancer. A session's requests go to any of them.
 */
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createFanout } from "mcp-fanout";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildServer } from "./build-server.ts";

const { NATS_URL, PORT = "3000" } = process.env;
const fanout = await createFanout(NATS_URL === undefined ? {} : { nats: { servers: NATS_URL } });
// A server of v1 has nothing for clients that speak 2026-07-28 only: they are told so, and fall back.
const modern = { fetch: () => new Response(null, { status: 400 }), bus: fanout.bus() };
const handler = createFleetHandler(modern, { fanout, sessions: buildServer });
const serveMcp = toNodeHandler(handler);

const server = createServer(async (req, res) => {
	const { method = "GET", url = "/" } = req;
	const [, session] = /^\/sessions\/([\w-]+)$/.exec(url) ?? [];
	if (url === "/health") {
		const health = fanout.health();
		res.writeHead(health.ready ? 200 : 503).end(JSON.stringify({ ...health, listens: 0, pid: process.pid }));
	} else if (session !== undefined) {
		const chunks: Buffer[] = [];
		for await (const chunk of req) chunks.push(chunk as Buffer);
		const params = { level: "info", data: Buffer.concat(chunks).toString() };
		await fanout.to({ session }).send({ method: "notifications/message", params });
		res.writeHead(202).end();
	} else await serveMcp(Object.assign(req, { method, url }), res);
}).listen(Number(PORT));

process.once("SIGTERM", async () => {
	await handler.drain({ graceMs: 2_000 });
	server.close();
	await handler.close();
	await fanout.close();
	server.closeAllConnections();
});
