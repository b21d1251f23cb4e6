/** Builds the server of a request or session: one resource, and two tools that say who should look again. */
import { fromJsonSchema, type McpHttpHandler, McpServer } from "@modelcontextprotocol/server";
import type { Fanout } from "mcp-fanout";

export const HANDBOOK = "docs://handbook";

const PAGE = fromJsonSchema<{ uri: string }>({
	type: "object",
	properties: { uri: { type: "string", minLength: 1, maxLength: 1_000 } },
	required: ["uri"],
});
const answer = (text: string) => ({ content: [{ type: "text" as const, text }] });

/** Who announces a change: the SDK's handler to who listens in this process, a fanout to everyone, or to one user. */
export type Announcer = Pick<McpHttpHandler, "notify"> | Pick<Fanout, "notify" | "to">;

export function buildServer(announcer: Announcer, user: string | undefined): McpServer {
	const server = new McpServer(
		{ name: "node-fleet", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	server.registerResource("handbook", HANDBOOK, { description: "What everybody reads" }, async (uri) => ({
		contents: [{ uri: uri.href, text: "the handbook" }],
	}));
	const edit = { description: "Edits a page: everyone who listens to it is told", inputSchema: PAGE };
	server.registerTool("edit", edit, async ({ uri }) => {
		const receipt = await announcer.notify.resourceUpdated(uri);
		return answer(receipt?.accepted.map(({ lane, reach }) => `${lane} (${reach})`).join(", ") ?? "told");
	});
	server.registerTool("unlock", { description: "Gives the caller new tools, on all devices" }, async () => {
		if (user === undefined) return answer("nobody: sign in first");
		await ("to" in announcer ? announcer.to({ principal: user }) : announcer).notify.toolsChanged();
		return answer(user);
	});
	// Clients of the 2025 era subscribe; the session's record keeps it, so that there is nothing to do here.
	for (const method of ["resources/subscribe", "resources/unsubscribe"] as const) {
		server.server.setRequestHandler(method, async () => ({}));
	}
	return server;
}
