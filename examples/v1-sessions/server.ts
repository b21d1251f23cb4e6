/**
 * Sessions of the 2025 era, on a server of the SDK's v1 line, as one process of a fleet: run as many as you like behind
 * any load balancer. A session's requests go to any of them.
 */
import { createServer } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createFanout } from "mcp-fanout";
import { createSessionHandler } from "mcp-fanout/mcp";
import { buildServer } from "./build-server.ts";

const { NATS_URL, PORT = "3000" } = process.env;
const fanout = await createFanout(NATS_URL === undefined ? {} : { nats: { servers: NATS_URL } });
const handler = createSessionHandler(buildServer, { fanout });
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
