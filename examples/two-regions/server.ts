/**
 * An MCP server that is more than one process: run it as often as you like, in as many regions as there are cells. The
 * environment is what `FanoutLayer.attach` sets (SSM parameter `/<prefix>/environment`), plus AWS_REGION and PORT.
 *   POST /mcp      the MCP endpoint: tools `update` and `notify` reach clients of every process, in every region
 *   GET  /events   server-sent events for the caller's session; resumes by Last-Event-ID
 *   POST /ticket   { url, ticket, channels } for the cell's WebSocket API
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createChannel, createFanout } from "mcp-fanout";
import { ENV } from "mcp-fanout/env-names";
import { type Identity, identify } from "./identity.ts";
import { buildServer } from "./mcp.ts";

const DRAIN_MS = 2_000;

async function start(): Promise<void> {
	const fanout = await createFanout({ onerror: (error) => console.error(`${error.code}: ${error.message}`) });
	const mcp = createMcpHandler(() => buildServer(fanout), { bus: fanout.bus() });
	const handleMcp = toNodeHandler(mcp);

	async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
		const { pathname } = new URL(req.url ?? "/", "http://localhost");
		if (pathname === "/health") return json(res, 200, fanout.health());
		// The MCP endpoint of this example is open; whom a stream or a ticket is for, the caller's token says.
		const { method = "GET", url = "/" } = req;
		if (pathname === "/mcp") return void (await handleMcp(Object.assign(req, { method, url }), res));
		const identity = identify(req);
		if (identity === undefined) return json(res, 401, { error: "a bearer token is needed" });
		if (pathname === "/events" && method === "GET") return openEvents(req, res, identity);
		if (pathname === "/ticket" && method === "POST") {
			const ticket = await fanout.issueTicket(identity);
			return json(res, 200, { url: process.env[ENV.clientApi], ticket, channels: channelsOf(identity) });
		}
		return json(res, 404, { error: "there are /mcp, /events, /ticket and /health" });
	}

	/** What the ticket covers, by the keys that its holder names to the WebSocket API. */
	function channelsOf({ session, principal }: Identity): string[] {
		const scope = { namespace: fanout.namespace };
		const channels = [createChannel("session", session, scope), createChannel("principal", principal, scope)];
		return [...channels, createChannel("all", "", scope)].map(({ key }) => key);
	}

	function openEvents(req: IncomingMessage, res: ServerResponse, identity: Identity): void {
		const stream = fanout.sse(req, res, identity);
		// A refusal is answered on the connection; here it is only told.
		stream.opened.catch((error: Error) => console.error(`a stream was refused: ${error.message}`));
	}

	const server = createServer((req, res) => {
		handle(req, res).catch((error: Error) => {
			console.error(error.message);
			if (res.headersSent) res.destroy();
			else json(res, 500, { error: "internal error" });
		});
	});
	server.listen(Number(process.env.PORT ?? 3000), () => console.log("listening"));

	process.once("SIGTERM", async () => {
		await fanout.drain({ graceMs: DRAIN_MS });
		server.close();
		await mcp.close();
		await fanout.close();
		server.closeAllConnections();
	});
}

function json(res: ServerResponse, status: number, body: unknown): void {
	res.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

await start();
