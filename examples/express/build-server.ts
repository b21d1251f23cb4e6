/** The factory that the handler calls for each request: an inbox for each user, and a tool that fills somebody's. */
import { McpServer } from "@modelcontextprotocol/server";
import type { Fanout } from "mcp-fanout";
import { z } from "zod";

export const INBOX = "mail://inbox";

export function buildServer(fanout: Fanout, user: string | undefined): McpServer {
	const server = new McpServer(
		{ name: "express", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	server.registerResource("inbox", INBOX, { description: "The caller's own mail" }, async (uri) => ({
		contents: [{ uri: uri.href, text: `the mail of ${user ?? "nobody"}` }],
	}));
	const write = { description: "Writes to another user", inputSchema: z.object({ to: z.string().min(1).max(100) }) };
	server.registerTool("write", write, async ({ to }) => {
		const { accepted } = await fanout.to({ principal: to }).notify.resourceUpdated(INBOX);
		return { content: [{ type: "text", text: accepted.map(({ lane, reach }) => `${lane} (${reach})`).join(", ") }] };
	});
	return server;
}
