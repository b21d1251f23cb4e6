import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";

function buildServer(): McpServer {
	return new McpServer({ name: "quick-start", version: "1.0.0" }, { capabilities: { tools: { listChanged: true } } });
}

// In a cell's environment this reaches every process of every region; without one, this process.
const fanout = await createFanout();
const mcp = createMcpHandler(buildServer, { bus: fanout.bus() });
const server = createServer((req, res) => {
	if (req.url === "/events") fanout.sse(req, res, { session: "session-7" });
	else toNodeHandler(mcp)(req as never, res);
});
await new Promise<void>((resolve) => server.listen(0, resolve));
const { port } = server.address() as { port: number };

// An MCP client that listens for changes, and any program that reads server-sent events.
const client = new Client({ name: "listener", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
await client.connect(new StreamableHTTPClientTransport(new URL(`http://localhost:${port}/mcp`)));
const heard = Promise.withResolvers<void>();
client.setNotificationHandler("notifications/tools/list_changed", () => {
	console.log("MCP client: tools changed");
	heard.resolve();
});
await client.listen({ toolsListChanged: true });
const events = await fetch(`http://localhost:${port}/events`);

const receipt = await fanout.notify.toolsChanged();
await heard.promise;
await fanout
	.to({ session: "session-7" })
	.send({ method: "notifications/message", params: { level: "info", data: "hello" } });
for await (const chunk of events.body?.pipeThrough(new TextDecoderStream()) ?? []) {
	const data = chunk.split("\n").filter((line) => line.startsWith("data: {"));
	for (const line of data) console.log(`SSE client: ${(JSON.parse(line.slice(6)) as { method: string }).method}`);
	if (chunk.includes("hello")) break;
}
console.log(`accepted by: ${receipt.accepted.map(({ lane, reach }) => `${lane} (${reach})`).join(", ")}`);

await client.close();
await fanout.close();
await mcp.close();
server.close();
server.closeAllConnections();
