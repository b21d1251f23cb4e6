import { setTimeout as sleep } from "node:timers/promises";
import { fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import type { Tools } from "./serve.ts";

const text = (said: unknown) => ({ content: [{ type: "text" as const, text: String(said) }] });
const NAME = { type: "object" as const, properties: { name: { type: "string" as const } }, required: ["name"] };
const PUBLISH = fromJsonSchema<{ sessions: string[]; from: number; count: number; padding?: number }>({
	type: "object",
	properties: {
		sessions: { type: "array", items: { type: "string" } },
		from: { type: "number" },
		count: { type: "number" },
		padding: { type: "number" },
	},
	required: ["sessions", "from", "count"],
});

export function buildV2(tools: Tools): McpServer {
	const { release = "1" } = tools;
	const capabilities = { tools: { listChanged: true }, ...(release !== "less" && { logging: {} }) };
	const server = new McpServer({ name: "sessions", version: `${release}.0.0` }, { capabilities });
	if (release === "2") server.registerTool("added", { description: "new in the second" }, async () => text("added"));
	server.registerTool("where", { description: "the process" }, async () => text(tools.place));
	server.registerTool("ask", { description: "asks the user" }, async (ctx) => {
		const answer = await ctx.mcpReq.elicitInput({ mode: "form", message: "name?", requestedSchema: NAME });
		return text(`${tools.place}: ${JSON.stringify(answer.content ?? answer.action)}`);
	});
	server.registerTool("wait", { description: "never ends" }, () => new Promise(() => {}));
	// The name that the official suite knows it by.
	server.registerTool("test_reconnection", { description: "Closes its own stream" }, async ({ http }) => {
		http?.closeSSE?.();
		await sleep(100);
		return text("resumed");
	});
	server.registerTool("publish", { description: "numbers", inputSchema: PUBLISH }, async (args) => {
		await tools.publish(args.sessions, args.from, args.count, args.padding);
		return text("published");
	});
	return server;
}
