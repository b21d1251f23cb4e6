/** The MCP server that each process builds per request: two tools, one resource. */
import { fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import type { Fanout } from "mcp-fanout";

export const BOARD = "demo://board";

const TEXT = { type: "string", minLength: 1, maxLength: 1_000 } as const;
const UPDATE = fromJsonSchema<{ uri: string; note: string }>({
	type: "object",
	properties: { uri: TEXT, note: TEXT },
	required: ["uri", "note"],
});
const NOTIFY = fromJsonSchema<{ session: string; text: string }>({
	type: "object",
	properties: { session: TEXT, text: TEXT },
	required: ["session", "text"],
});

const answer = (text: string) => ({ content: [{ type: "text" as const, text }] });

export function buildServer(fanout: Fanout): McpServer {
	const server = new McpServer(
		{ name: "two-regions", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	server.registerResource("board", BOARD, { description: "What everybody watches" }, async (uri) => ({
		contents: [{ uri: uri.href, text: "the board" }],
	}));
	const update = { description: "Says to everyone that a resource has changed", inputSchema: UPDATE };
	server.registerTool("update", update, async ({ uri, note }) => {
		// What is in `_meta` reaches MCP clients too.
		const params = { uri, _meta: { "example/note": note } };
		const receipt = await fanout.to({ all: true }).send({ method: "notifications/resources/updated", params });
		return answer(receipt.id);
	});
	const notify = { description: "Sends a log message to one session, wherever its client is", inputSchema: NOTIFY };
	server.registerTool("notify", notify, async ({ session, text }) => {
		const params = { level: "info", logger: "two-regions", data: text };
		const receipt = await fanout.to({ session }).send({ method: "notifications/message", params });
		return answer(receipt.id);
	});
	return server;
}
