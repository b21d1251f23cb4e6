/** The factory that the handler calls for each request: two pages that anyone may listen to. */
import { McpServer } from "@modelcontextprotocol/server";

export const PAGES = ["docs://handbook", "docs://prices"] as const;

export function buildServer(): McpServer {
	const server = new McpServer(
		{ name: "hono", version: "1.0.0" },
		{ capabilities: { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true } } },
	);
	for (const page of PAGES) {
		server.registerResource(page, page, { description: "A page" }, async (uri) => ({
			contents: [{ uri: uri.href, text: `what stands at ${uri.href}` }],
		}));
	}
	return server;
}
