/**
 * An Express application with an MCP server in it: Express parses the body and authenticates, and both are passed on.
 * Run as many as you like behind any load balancer: with NATS_URL they are one fleet, without it each is alone.
 */
import { createMcpHandler } from "@modelcontextprotocol/server";
import express, { type NextFunction, type Request, type Response } from "express";
import { createFanout } from "mcp-fanout";
import { createFleetHandler, toNodeHandler } from "mcp-fanout/mcp";
import { buildServer } from "./build-server.ts";

const { NATS_URL, PORT = "3000" } = process.env;
const fanout = await createFanout(NATS_URL === undefined ? {} : { nats: { servers: NATS_URL } });
const subject = (extra: Readonly<Record<string, unknown>> | undefined) => extra?.sub as string | undefined;
const handler = createFleetHandler(
	createMcpHandler(({ authInfo }) => buildServer(fanout, subject(authInfo?.extra)), { bus: fanout.bus() }),
	{ fanout, principal: ({ authInfo }) => subject(authInfo.extra) },
);
const serveMcp = toNodeHandler(handler);

/** Stands for your own authentication: here a bearer token is the user's name, and who has none is turned away. */
function authenticate(req: Request, res: Response, next: NextFunction): void {
	const [scheme, token = ""] = (req.headers.authorization ?? "").split(" ");
	if (scheme !== "Bearer" || token === "") {
		res.status(401).set("www-authenticate", "Bearer").end();
		return;
	}
	Object.assign(req, { auth: { token, clientId: "express", scopes: [], extra: { sub: token } } });
	next();
}

const app = express();
app.get("/health", (_req, res) => {
	const health = fanout.health();
	res.status(health.ready ? 200 : 503).json({ ...health, listens: handler.listens, pid: process.pid });
});
app.all("/mcp", authenticate, express.json(), (req, res) => serveMcp(req, res, req.body));
const server = app.listen(Number(PORT));

process.once("SIGTERM", async () => {
	await handler.drain({ graceMs: 2_000 });
	server.close();
	await handler.close();
	await fanout.close();
	server.closeAllConnections();
});
