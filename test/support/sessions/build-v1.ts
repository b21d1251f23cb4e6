import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { z } from "zod";
import type { Tools } from "./serve.ts";

const text = (said: unknown) => ({ content: [{ type: "text" as const, text: String(said) }] });
const NAME = { type: "object" as const, properties: { name: { type: "string" as const } }, required: ["name"] };

export function buildV1(tools: Tools): McpServer {
	const capabilities = { tools: { listChanged: true }, logging: {} };
	const server = new McpServer({ name: "sessions", version: "1.0.0" }, { capabilities });
	server.registerTool("where", { description: "the process" }, async () => text(tools.place));
	server.registerTool("ask", { description: "asks the user" }, async ({ requestId }) => {
		const asked = { message: "name?", requestedSchema: NAME };
		const answer = await server.server.elicitInput(asked, { relatedRequestId: requestId });
		return text(`${tools.place}: ${JSON.stringify(answer.content ?? answer.action)}`);
	});
	server.registerTool("wait", { description: "never ends" }, () => new Promise(() => {}));
	const inputSchema = { sessions: z.array(z.string()), from: z.number(), count: z.number() };
	server.registerTool("publish", { description: "numbers", inputSchema }, async (args) => {
		await tools.publish(args.sessions, args.from, args.count);
		return text("published");
	});
	return server;
}
