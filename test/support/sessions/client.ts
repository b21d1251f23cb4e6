/** Clients of the SDK's v1 and v2 that speak the 2025 era, with a say in which process each of their requests goes to. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as TransportV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
	ElicitRequestSchema,
	LoggingMessageNotificationSchema,
	ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

export type Version = "v1" | "v2";
/** The address of the process that a request goes to. */
export type Route = (init: RequestInit) => string;

export interface SessionClient {
	readonly session: string;
	/** Numbers of the messages that came, in the order of coming. */
	readonly heard: number[];
	/** How often the user was asked. */
	readonly asked: { count: number };
	/** How often it was told that the tools changed. */
	readonly changes: { count: number };
	/** Answers to POSTs that came as streams. */
	streams(): number;
	tools(): Promise<string[]>;
	call(tool: string, args?: Readonly<Record<string, unknown>>): Promise<string>;
	close(): Promise<void>;
}

const INFO = { name: "sessions", version: "1.0.0" };
const CAPABILITIES = { elicitation: {} };
const RECONNECT = {
	initialReconnectionDelay: 50,
	maxReconnectionDelay: 500,
	reconnectionDelayGrowFactor: 1.5,
	maxRetries: 2,
};

export async function connectSession(version: Version, route: Route): Promise<SessionClient> {
	const heard: number[] = [];
	const asked = { count: 0 };
	const hear = ({ params }: { params: { _meta?: Record<string, unknown> | undefined } }) =>
		void heard.push(Number(params._meta?.n));
	const answer = () => {
		asked.count += 1;
		return { action: "accept" as const, content: { name: "ann" } };
	};
	const changes = { count: 0 };
	const change = () => {
		changes.count += 1;
	};
	let streamed = 0;
	const streams = () => streamed;
	const options = {
		async fetch(_url: URL | string, init: RequestInit = {}) {
			const response = await fetch(`${route(init)}/mcp`, init);
			const isStream = response.headers.get("content-type") === "text/event-stream";
			if (init.method === "POST" && isStream) streamed += 1;
			return response;
		},
		reconnectionOptions: RECONNECT,
	};
	const url = new URL("http://localhost/mcp");
	if (version === "v2") {
		const client = new Client(INFO, { capabilities: CAPABILITIES });
		const transport = new StreamableHTTPClientTransport(url, options);
		client.setRequestHandler("elicitation/create", answer);
		client.setNotificationHandler("notifications/message", hear);
		client.setNotificationHandler("notifications/tools/list_changed", change);
		await client.connect(transport);
		const call = async (name: string, args = {}) => textOf(await client.callTool({ name, arguments: args }));
		const tools = async () => (await client.listTools()).tools.map(({ name }) => name);
		const session = transport.sessionId ?? "";
		return { session, heard, asked, changes, streams, tools, call, close: () => client.close() };
	}
	const client = new ClientV1(INFO, { capabilities: CAPABILITIES });
	const transport = new TransportV1(url, options);
	client.setRequestHandler(ElicitRequestSchema, answer);
	client.setNotificationHandler(LoggingMessageNotificationSchema, hear);
	client.setNotificationHandler(ToolListChangedNotificationSchema, change);
	await client.connect(transport as never);
	const call = async (name: string, args = {}) => textOf(await client.callTool({ name, arguments: args }));
	const tools = async () => (await client.listTools()).tools.map(({ name }) => name);
	const session = transport.sessionId ?? "";
	return { session, heard, asked, changes, streams, tools, call, close: () => client.close() };
}

function textOf(result: unknown): string {
	const { content = [], isError } = result as { content?: { text?: string }[]; isError?: boolean };
	const text = content[0]?.text ?? "";
	if (isError === true) throw new Error(text);
	return text;
}
