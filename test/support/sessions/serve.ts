/** One process of a fleet whose 2025-era sessions are served by servers of the SDK's v1 or v2. */
import { createServer, type IncomingMessage } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout, type Fanout, type FanoutOptions } from "mcp-fanout";
import {
	createFleetHandler,
	type ServerLike,
	type SessionAuth,
	type SessionContext,
	toNodeHandler,
} from "mcp-fanout/mcp";
import { createRedisStore } from "../../../lambda/layer/src/sessions/redis-store.ts";
import { buildV2 } from "./build-v2.ts";

type Release = "1" | "2" | "less";

/** What the tools of both versions do. */
export interface Tools {
	readonly place: string;
	/** Of the program: the second has a tool more, and tells so when it starts; `less` cannot log. */
	readonly release?: Release;
	/** Numbered messages to sessions, in order of number for each, with so many characters beside the number. */
	publish(sessions: readonly string[], from: number, count: number, padding?: number): Promise<void>;
}

const WINDOW = 10;
/** Between two windows, so that there is a middle to be killed in. */
const PAUSE_MS = 5;

export async function serve(build: (tools: Tools, context: SessionContext) => ServerLike): Promise<void> {
	const port = Number(process.env.PORT);
	const fanout = await createFanout(optionsOf(process.env));
	const tools: Tools = {
		place: String(port),
		release: (process.env.RELEASE ?? "1") as Release,
		async publish(sessions, from, count, padding = 0) {
			for (let at = from; at < from + count; at += WINDOW) {
				const to = Math.min(at + WINDOW, from + count);
				const numbers = Array.from({ length: to - at }, (_, n) => at + n);
				await Promise.all(numbers.flatMap((n) => sessions.map((session) => send(fanout, session, n, padding))));
				await sleep(PAUSE_MS);
			}
		},
	};
	const factory = new Factory((context) => build(tools, context));
	const mcp = createMcpHandler(() => buildV2(tools), { bus: fanout.bus() });
	const handler = createFleetHandler(mcp, {
		fanout,
		sessions: factory.build,
		sessionOptions: { resumePosts: true, retryMs: 100 },
		principal: ({ authInfo }) => authInfo.extra?.sub as string | undefined,
	});
	const serveMcp = toNodeHandler(handler);
	const server = createServer((req, res) => {
		if (req.url === "/health") {
			const { listens, sessions } = handler;
			const { ready, streams } = fanout.health();
			const { rss } = process.memoryUsage();
			const counts = { listens, sessions, streams, servers: factory.open };
			res.writeHead(ready ? 200 : 503).end(JSON.stringify({ ready, pid: process.pid, rss, ...counts }));
			return;
		}
		if (req.url?.startsWith("/factory/")) {
			factory.fault = req.url.slice("/factory/".length);
			res.end();
			return;
		}
		const { method = "GET", url = "/" } = req;
		const auth = authenticate(req);
		serveMcp(Object.assign(req, { method, url }, auth && { auth }), res);
	}).listen(port);
	// Its clients let go of connections first: a busy one would send a call into one that is being closed here.
	server.keepAliveTimeout = 0;
	process.once("SIGTERM", async () => {
		await handler.drain({ graceMs: 2_000, noticeMs: Number(process.env.NOTICE_MS ?? 0) });
		server.close();
		await handler.close();
		await fanout.close();
		server.closeAllConnections();
	});
	if (tools.release === "2") await fanout.notify.toolsChanged();
}

function optionsOf({ NATS_URL, REDIS_URL, REGISTRY_URL }: NodeJS.ProcessEnv): FanoutOptions {
	const registry = REGISTRY_URL === undefined ? {} : { registry: { store: createRedisStore({ url: REGISTRY_URL }) } };
	if (REDIS_URL !== undefined) return { ...registry, redis: { url: REDIS_URL } };
	return { ...registry, nats: { servers: NATS_URL ?? "" } };
}

/** Counts the servers that are open, and fails as it is told to. */
class Factory {
	fault = "none";
	open = 0;
	readonly #build: (context: SessionContext) => ServerLike;

	constructor(build: (context: SessionContext) => ServerLike) {
		this.#build = build;
	}

	readonly build = (context: SessionContext): ServerLike => {
		if (this.fault === "throws") throw new Error("the factory's own secret");
		const server = this.#build(context);
		this.open += 1;
		return {
			connect: (transport) =>
				this.fault === "rejects" ? Promise.reject(new Error("the factory's own secret")) : server.connect(transport),
			close: () => {
				this.open -= 1;
				return server.close();
			},
		};
	};
}

/** A bearer token is the user's name; one that is `nobody` is of somebody without a name. */
function authenticate({ headers }: IncomingMessage): SessionAuth | undefined {
	const [scheme, token = ""] = (headers.authorization ?? "").split(" ");
	if (scheme !== "Bearer") return undefined;
	const expiresAt = Number(headers["x-expires-at"] ?? 0);
	const extra = token === "nobody" ? {} : { sub: token };
	return { token, clientId: "sessions", scopes: [], extra, ...(expiresAt > 0 && { expiresAt }) };
}

function send(fanout: Fanout, session: string, n: number, padding: number) {
	const params = { level: "info", data: "numbered".padEnd(padding, "."), _meta: { n } };
	return fanout.to({ session }).send({ method: "notifications/message", params });
}
