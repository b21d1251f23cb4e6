/** The tools of the example MCP server: each publishes, to whom the caller says. */
import { fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import type { Fanout } from "mcp-fanout";

interface Notify {
	readonly to: { topic: string } | { session: string } | { principal: string } | { all: true };
	readonly text: string;
}

const id = { type: "string", minLength: 1 };
const target = (kind: string, schema: object) => ({
	type: "object",
	properties: { [kind]: schema },
	required: [kind],
	additionalProperties: false,
});
const NOTIFY = fromJsonSchema<Notify>({
	type: "object",
	properties: {
		to: {
			anyOf: [target("topic", id), target("session", id), target("principal", id), target("all", { const: true })],
		},
		text: { type: "string" },
	},
	required: ["to", "text"],
});

const text = { type: "string", minLength: 1, maxLength: 1_000 };
const UPDATE = fromJsonSchema<{ uri: string; note: string }>({
	type: "object",
	properties: { uri: text, note: text },
	required: ["uri", "note"],
});

const answer = (text: string) => ({ content: [{ type: "text" as const, text }] });

export function buildServer(fanout: Fanout): McpServer {
	const server = new McpServer({ name: "mcp-fanout-example", version: "1.0.0" });
	const notify = { description: "Sends a message to a topic, session, principal or all", inputSchema: NOTIFY };
	server.registerTool("notify", notify, async ({ to, text }) => {
		const params = { level: "info", logger: "example", data: text };
		const { id: envelope } = await fanout.to(to).send({ method: "notifications/message", params });
		return answer(envelope);
	});
	const update = { description: "Says to everyone that a resource has changed", inputSchema: UPDATE };
	server.registerTool("update", update, async ({ uri, note }) => {
		// What is in `_meta` reaches MCP clients too.
		const params = { uri, _meta: { "example/note": note } };
		const { id: envelope } = await fanout.to({ all: true }).send({ method: "notifications/resources/updated", params });
		return answer(envelope);
	});
	return server;
}
