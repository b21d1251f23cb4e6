/** A fleet in one process: real SDK handlers on fanouts over one broker, and real SDK clients that call them directly. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createMcpHandler, type McpHttpHandler, McpServer } from "@modelcontextprotocol/server";
import type { FanoutOptions } from "../../../lambda/layer/src/config/options.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createFanout, type Fanout } from "../../../lambda/layer/src/fanout.ts";
import {
	createFleetHandler,
	type FetchExtra,
	type FleetHandler,
	type FleetHandlerOptions,
} from "../../../lambda/layer/src/mcp/index.ts";
import { FakeBroker } from "../../../lambda/layer/src/testing/fake-broker.ts";
import { createFakeTransport } from "../../../lambda/layer/src/testing/fake-transport.ts";
import { createRandom } from "../../support/random.ts";

export type Fleet = Awaited<ReturnType<typeof startFleet>>;
export type Handler = FleetHandler<McpHttpHandler>;
export interface Heard {
	readonly method: string;
	readonly uri: unknown;
	readonly n: unknown;
}

export const URL_OF_FLEET = "http://localhost/mcp";
export const PRINCIPAL: Pick<FleetHandlerOptions, "principal"> = {
	principal: ({ authInfo }) => authInfo.extra?.sub as string | undefined,
};
export const TENANT: Pick<FleetHandlerOptions, "tenant"> = {
	tenant: ({ authInfo }) => authInfo.extra?.org as string | undefined,
};

export function auth(extra: Record<string, unknown>, expiresAt?: number): FetchExtra {
	return { authInfo: { extra, ...(expiresAt !== undefined && { expiresAt }) } };
}

export function buildServer(onCall: () => Promise<unknown> = async () => {}): McpServer {
	const server = new McpServer(
		{ name: "fleet", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	server.registerTool("publish", { description: "publishes" }, async () => {
		await onCall();
		return { content: [{ type: "text", text: "done" }] };
	});
	return server;
}

export async function startFleet(
	size: number,
	options: Omit<Partial<FleetHandlerOptions>, "fanout"> = {},
	more: FanoutOptions = {},
) {
	const broker = new FakeBroker(createRandom(5).next);
	const errors: FanoutError[] = [];
	const cleanups: (() => Promise<unknown>)[] = [];
	const fanouts: Fanout[] = [];
	const handlers: Handler[] = [];
	const onCall: { current: () => Promise<unknown> } = { current: async () => {} };

	async function add(): Promise<Handler> {
		const onerror = (error: FanoutError) => errors.push(error);
		const transports = [createFakeTransport(broker)];
		const fanout = await createFanout({ transports, timeoutMs: 2_000, onerror, ...more });
		const mcp = createMcpHandler(() => buildServer(() => onCall.current()), { bus: fanout.bus() });
		const handler = createFleetHandler(mcp, { ...options, fanout });
		fanouts.push(fanout);
		handlers.push(handler);
		cleanups.push(async () => {
			await handler.close();
			await fanout.close();
		});
		return handler;
	}

	async function connect(handler: Handler, extra: FetchExtra = {}): Promise<Client> {
		const client = new Client({ name: "test", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
		const call = (url: URL | string, init?: RequestInit) => handler.fetch(new Request(url, init), extra);
		await client.connect(new StreamableHTTPClientTransport(new URL(URL_OF_FLEET), { fetch: call }));
		cleanups.unshift(() => client.close());
		return client;
	}

	for (let n = 0; n < size; n += 1) await add();
	return {
		broker,
		errors,
		fanouts,
		handlers,
		onCall,
		add,
		connect,
		async listen(handler: Handler, uris: readonly string[], extra: FetchExtra = {}) {
			const client = await connect(handler, extra);
			const heard: Heard[] = [];
			type Said = {
				method: string;
				params?: { uri?: unknown; _meta?: Record<string, unknown> | undefined } | undefined;
			};
			const hear = ({ method, params }: Said) => void heard.push({ method, uri: params?.uri, n: params?._meta?.n });
			client.setNotificationHandler("notifications/resources/updated", hear);
			client.setNotificationHandler("notifications/resources/list_changed", hear);
			client.setNotificationHandler("notifications/tools/list_changed", hear);
			const filter = { resourceSubscriptions: [...uris], toolsListChanged: true, promptsListChanged: true };
			const subscription = await client.listen(filter);
			return { heard, client, subscription };
		},
		stop: async () => void (await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()))),
	};
}

/** A listen as bytes: for what a client library hides. */
export function rawListen(
	handler: Handler,
	filter: object,
	extra: FetchExtra = {},
	id: string | number = 1,
	more: RequestInit = {},
) {
	const version = "2026-07-28";
	const meta = {
		"io.modelcontextprotocol/protocolVersion": version,
		"io.modelcontextprotocol/clientInfo": { name: "raw", version: "1.0.0" },
		"io.modelcontextprotocol/clientCapabilities": {},
	};
	const body = { jsonrpc: "2.0", id, method: "subscriptions/listen", params: { notifications: filter, _meta: meta } };
	const headers = {
		"content-type": "application/json",
		accept: "application/json, text/event-stream",
		"mcp-protocol-version": version,
		"mcp-method": "subscriptions/listen",
	};
	const init = { ...more, method: "POST", headers, body: JSON.stringify(body) };
	return handler.fetch(new Request(URL_OF_FLEET, init), extra);
}
