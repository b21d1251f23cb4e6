/** A real MCP client (official SDK, protocol 2026-07-28) that listens for changes, or calls tools. */
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

export interface McpListener {
	close(): Promise<void>;
}

export interface McpChange {
	readonly method: string;
	readonly meta: Readonly<Record<string, unknown>>;
}

interface Change {
	readonly method: string;
	readonly params?: { readonly _meta?: Readonly<Record<string, unknown>> | undefined } | undefined;
}

async function connect(url: string): Promise<Client> {
	const client = new Client({ name: "mcp-fanout-test", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
	await client.connect(new StreamableHTTPClientTransport(new URL(url)));
	return client;
}

/** Resolves when the server has acknowledged the listen. */
export async function listenMcp(
	url: string,
	resources: readonly string[],
	onChange: (change: McpChange) => void,
): Promise<McpListener> {
	const client = await connect(url);
	const hear = ({ method, params }: Change) => onChange({ method, meta: params?._meta ?? {} });
	client.setNotificationHandler("notifications/resources/updated", hear);
	client.setNotificationHandler("notifications/tools/list_changed", hear);
	const subscription = await client.listen({ resourceSubscriptions: [...resources], toolsListChanged: true });
	return {
		async close() {
			await subscription.close();
			await client.close();
		},
	};
}

export interface McpCaller {
	/** The text of the tool's answer; throws when it is an error. */
	call(tool: string, args: Readonly<Record<string, unknown>>): Promise<string>;
	close(): Promise<void>;
}

export async function callMcp(url: string): Promise<McpCaller> {
	const client = await connect(url);
	return {
		async call(name, args) {
			const result = await client.callTool({ name, arguments: { ...args } });
			const [first] = result.content;
			const text = first?.type === "text" ? first.text : "";
			if (result.isError === true) throw new Error(`tool ${name} failed: ${text}`);
			return text;
		},
		close: () => client.close(),
	};
}
