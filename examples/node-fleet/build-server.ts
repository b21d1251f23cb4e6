/** The factory that each process calls per request: one resource, and two tools that say who should look again. */
import { fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import type { Fanout } from "mcp-fanout";

export const HANDBOOK = "docs://handbook";

const PAGE = fromJsonSchema<{ uri: string }>({
	type: "object",
	properties: { uri: { type: "string", minLength: 1, maxLength: 1_000 } },
	required: ["uri"],
});
const answer = (text: string) => ({ content: [{ type: "text" as const, text }] });

export function buildServer(fanout: Fanout, user: string | undefined): McpServer {
	const server = new McpServer(
		{ name: "node-fleet", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	server.registerResource("handbook", HANDBOOK, { description: "What everybody reads" }, async (uri) => ({
		contents: [{ uri: uri.href, text: "the handbook" }],
	}));
	const edit = { description: "Edits a page: everyone who listens to it is told", inputSchema: PAGE };
	server.registerTool("edit", edit, async ({ uri }) => {
		const { accepted } = await fanout.notify.resourceUpdated(uri);
		return answer(accepted.map(({ lane, reach }) => `${lane} (${reach})`).join(", "));
	});
	server.registerTool("unlock", { description: "Gives the caller new tools, on all devices" }, async () => {
		if (user === undefined) return answer("nobody: sign in first");
		await fanout.to({ principal: user }).notify.toolsChanged();
		return answer(user);
	});
	return server;
}
