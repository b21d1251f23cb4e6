/** One process of a fleet whose 2025-era sessions are served by servers of the SDK's v1 or v2. */
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout, type Fanout } from "mcp-fanout";
import { createFleetHandler, type ServerLike, type SessionContext } from "mcp-fanout/mcp";
import { buildV2 } from "./build-v2.ts";

/** What the tools of both versions do. */
export interface Tools {
	readonly place: string;
	/** Numbered messages to sessions, in order of number for each. */
	publish(sessions: readonly string[], from: number, count: number): Promise<void>;
}

const WINDOW = 10;
/** Between two windows, so that there is a middle to be killed in. */
const PAUSE_MS = 5;

export async function serve(build: (tools: Tools, context: SessionContext) => ServerLike): Promise<void> {
	const port = Number(process.env.PORT);
	const fanout = await createFanout({ nats: { servers: process.env.NATS_URL ?? "" } });
	const tools: Tools = {
		place: String(port),
		async publish(sessions, from, count) {
			for (let at = from; at < from + count; at += WINDOW) {
				const to = Math.min(at + WINDOW, from + count);
				const numbers = Array.from({ length: to - at }, (_, n) => at + n);
				await Promise.all(numbers.flatMap((n) => sessions.map((session) => send(fanout, session, n))));
				await sleep(PAUSE_MS);
			}
		},
	};
	const mcp = createMcpHandler(() => buildV2(tools), { bus: fanout.bus() });
	const handler = createFleetHandler(mcp, {
		fanout,
		sessions: (context) => build(tools, context),
		sessionOptions: { resumePosts: true, retryMs: 100 },
	});
	const serveMcp = toNodeHandler(handler);
	const server = createServer((req, res) => {
		if (req.url === "/health") {
			const { listens, sessions } = handler;
			res.end(JSON.stringify({ ready: fanout.health().ready, listens, sessions, pid: process.pid }));
			return;
		}
		const { method = "GET", url = "/" } = req;
		serveMcp(Object.assign(req, { method, url }), res);
	}).listen(port);
	process.once("SIGTERM", async () => {
		await handler.drain({ graceMs: 2_000 });
		server.close();
		await handler.close();
		await fanout.close();
		server.closeAllConnections();
	});
}

function send(fanout: Fanout, session: string, n: number) {
	const params = { level: "info", data: "numbered", _meta: { n } };
	return fanout.to({ session }).send({ method: "notifications/message", params });
}
