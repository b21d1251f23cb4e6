/** Processes of a fleet in one: fleet handlers with sessions over one broker and one registry, called by real clients. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpServer as McpServerV1 } from "@modelcontextprotocol/sdk/server/mcp.js";
import { createMcpHandler, fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type Clock, systemClock } from "../../../../lambda/layer/src/core/clock.ts";
import type { FanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { createFanout, type Fanout } from "../../../../lambda/layer/src/fanout.ts";
import {
	createFleetHandler,
	type FetchExtra,
	type FleetHandler,
	type FleetHandlerOptions,
	type ServerLike,
	type SessionContext,
} from "../../../../lambda/layer/src/mcp/index.ts";
import { createMemoryStore, MemoryTable } from "../../../../lambda/layer/src/sessions/memory-store.ts";
import type { Store } from "../../../../lambda/layer/src/sessions/store.ts";
import { FakeBroker } from "../../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../../support/random.ts";

export const URL_OF_FLEET = "http://localhost/mcp";
export type Era = "v1" | "v2";
export type AnyClient = Client | ClientV1;

const CAPABILITIES = {
	tools: { listChanged: true },
	resources: { subscribe: true, listChanged: true },
	logging: {},
};
const text = (said: unknown) => ({ content: [{ type: "text" as const, text: String(said) }] });
const SCHEMA = { type: "object" as const, properties: { name: { type: "string" as const } }, required: ["name"] };

/** What the tools of a test do on whichever process runs them. */
export interface Tools {
	/** Called by the tool `run`, with the process's place in the fleet. */
	run(place: number, signal: AbortSignal): Promise<unknown>;
}

export function buildV2(place: number, tools: Tools, session?: SessionContext["session"]): McpServer {
	const server = new McpServer({ name: "fleet", version: "1.0.0" }, { capabilities: CAPABILITIES });
	server.registerTool("where", { description: "the process" }, async () => text(place));
	server.registerTool("run", { description: "what the test says" }, async (ctx) =>
		text(await tools.run(place, ctx.mcpReq.signal)),
	);
	server.registerTool("ask", { description: "asks the user" }, async (ctx) => {
		const asked = { message: "name?", requestedSchema: SCHEMA };
		const answer = await ctx.mcpReq.elicitInput({ mode: "form", ...asked });
		return text(`${place}: ${JSON.stringify(answer.content ?? answer.action)}`);
	});
	server.registerTool("announce", { description: "tools changed" }, async () => {
		server.sendToolListChanged();
		return text(place);
	});
	const SAVE = fromJsonSchema<{ value: string }>({ type: "object", properties: { value: { type: "string" } } });
	server.registerTool("save", { description: "state", inputSchema: SAVE }, async ({ value }) => {
		await session?.state.save({ value });
		return text(value);
	});
	server.registerTool("load", { description: "state" }, async () => text(JSON.stringify(session?.state.value)));
	server.server.setRequestHandler("resources/subscribe", async () => ({}));
	server.server.setRequestHandler("resources/unsubscribe", async () => ({}));
	return server;
}

export function buildV1(place: number, tools: Tools): McpServerV1 {
	const server = new McpServerV1({ name: "fleet", version: "1.0.0" }, { capabilities: CAPABILITIES });
	server.registerTool("where", { description: "the process" }, async () => text(place));
	server.registerTool("run", { description: "what the test says" }, async (extra) =>
		text(await tools.run(place, extra.signal)),
	);
	server.registerTool("ask", { description: "asks the user" }, async (extra) => {
		const asked = { message: "name?", requestedSchema: SCHEMA };
		const answer = await server.server.elicitInput(asked, { relatedRequestId: extra.requestId });
		return text(`${place}: ${JSON.stringify(answer.content ?? answer.action)}`);
	});
	server.registerTool("announce", { description: "tools changed" }, async () => {
		server.sendToolListChanged();
		return text(place);
	});
	server.registerTool("save", { description: "nothing", inputSchema: { value: z.string() } }, async () => text(""));
	return server;
}

export interface FleetOptions extends Omit<Partial<FleetHandlerOptions>, "fanout" | "sessions"> {
	readonly server?: Era;
	/** In the place of the test's own factory. */
	readonly build?: (place: number, context: SessionContext) => ServerLike | Promise<ServerLike>;
	readonly store?: (store: Store, place: number) => Store;
	/** As functions: nothing is followed but while it is held. */
	readonly follow?: "held" | undefined;
	/** Of every process and the registry; default the system's. */
	readonly clock?: Clock;
	/** Logs have an epoch before their first entry, as on NATS and Redis. */
	readonly eager?: boolean;
}

export type SessionFleet = Awaited<ReturnType<typeof startSessions>>;

export async function startSessions(
	size: number,
	{ server = "v2", build, store, follow, eager, clock = systemClock, ...options }: FleetOptions = {},
) {
	const broker = new FakeBroker(createRandom(7).next, { eager: eager ?? false });
	const table = new MemoryTable();
	const errors: FanoutError[] = [];
	const fanouts: Fanout[] = [];
	const handlers: FleetHandler[] = [];
	const cleanups: (() => Promise<unknown>)[] = [];
	const tools: { run: Tools["run"] } = { run: async (place) => place };

	async function add(): Promise<void> {
		const place = handlers.length;
		const memory = createMemoryStore({ table, clock });
		const fanout = await createFanout({
			transports: [createFakeTransport(broker)],
			registry: { store: store?.(memory, place) ?? memory },
			timeoutMs: 2_000,
			clock,
			follow,
			onerror: (error) => void errors.push(error),
		});
		const mcp = createMcpHandler(() => buildV2(place, tools), { bus: fanout.bus() });
		const handler = createFleetHandler(mcp, {
			...options,
			fanout,
			sessions: (context) =>
				build?.(place, context) ?? (server === "v2" ? buildV2(place, tools, context.session) : buildV1(place, tools)),
		});
		fanouts.push(fanout);
		handlers.push(handler);
		cleanups.push(async () => {
			await handler.close();
			await fanout.close();
		});
	}
	for (let n = 0; n < size; n += 1) await add();

	/** Where the next request goes, by its method and body; default round robin. */
	let turn = 0;
	type Route = (init: RequestInit) => number | undefined;
	function fetchBy(route: Route, extra: FetchExtra) {
		return (url: URL | string, init: RequestInit = {}): Promise<Response> => {
			const place = route(init) ?? turn++ % size;
			return (handlers[place] as FleetHandler).fetch(new Request(url, init), extra);
		};
	}

	return {
		broker,
		table,
		errors,
		fanouts,
		handlers,
		tools,
		async connect(era: Era, route: Route = () => undefined, extra: FetchExtra = {}) {
			const fetch = fetchBy(route, extra);
			const asked: unknown[] = [];
			const capabilities = { elicitation: {} };
			const onAsk = (request: { params: unknown }) => {
				asked.push(request.params);
				return { action: "accept" as const, content: { name: "ann" } };
			};
			if (era === "v2") {
				const transport = new StreamableHTTPClientTransport(new URL(URL_OF_FLEET), { fetch });
				const client = new Client({ name: "test", version: "1.0.0" }, { capabilities });
				client.setRequestHandler("elicitation/create", onAsk);
				await client.connect(transport);
				cleanups.unshift(() => client.close());
				return { client: client as AnyClient, transport, asked };
			}
			const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
			const transport = new TransportV1(new URL(URL_OF_FLEET), { fetch });
			const client = new ClientV1({ name: "test", version: "1.0.0" }, { capabilities });
			client.setRequestHandler(ElicitRequestSchema, onAsk);
			await client.connect(transport as never);
			cleanups.unshift(() => client.close());
			return { client: client as AnyClient, transport, asked };
		},
		/** A request as bytes. */
		call(place: number, init: RequestInit, extra: FetchExtra = {}) {
			return (handlers[place] as FleetHandler).fetch(new Request(URL_OF_FLEET, init), extra);
		},
		stop: async () => void (await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()))),
	};
}

export async function textOf(called: Promise<unknown>): Promise<string> {
	const { content } = (await called) as { content: { text: string }[] };
	return content[0]?.text ?? "";
}

/** The method of a posted message. */
export function methodIn({ body }: RequestInit): string | undefined {
	return typeof body === "string" ? (JSON.parse(body) as { method?: string }).method : undefined;
}

const HELLO = {
	protocolVersion: "2025-11-25",
	capabilities: { elicitation: {} },
	clientInfo: { name: "raw", version: "1.0.0" },
};
export const HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };

export function post(message: unknown, session?: string, headers: Record<string, string> = {}): RequestInit {
	const known = session === undefined ? {} : { "mcp-session-id": session };
	return { method: "POST", headers: { ...HEADERS, ...known, ...headers }, body: JSON.stringify(message) };
}

export const hello = (protocolVersion = "2025-11-25") =>
	post({ jsonrpc: "2.0", id: 1, method: "initialize", params: { ...HELLO, protocolVersion } });

export const tool = (name: string, id: number | string = 2, args: object = {}) => ({
	jsonrpc: "2.0",
	id,
	method: "tools/call",
	params: { name, arguments: args },
});
