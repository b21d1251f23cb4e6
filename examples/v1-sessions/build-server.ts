/**
 * The factory of a server on the SDK's v1 line. It is called once for each session in each process that the session's
 * requests come to: what it needs to build the same server again is in `session.state`, not in a variable here.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import type { SessionContext } from "mcp-fanout/mcp";
import { z } from "zod";

const GREETINGS = { en: "Hello", fr: "Bonjour" } as const;
type Language = keyof typeof GREETINGS;

const text = (said: string) => ({ content: [{ type: "text" as const, text: said }] });
const NAME = { type: "object" as const, properties: { name: { type: "string" as const } }, required: ["name"] };

export function buildServer({ session }: SessionContext): McpServer {
	const server = new McpServer({ name: "v1-sessions", version: "1.0.0" });
	const speak = { description: "Chooses a language", inputSchema: { language: z.enum(["en", "fr"]) } };
	server.registerTool("speak", speak, async ({ language }) => {
		await session.state.save({ language });
		return text(language);
	});
	// The user is asked through the stream of this call; the answer comes to whichever process.
	server.registerTool("greet", { description: "Asks for a name, and greets" }, async ({ requestId }) => {
		const question = { message: "Your name?", requestedSchema: NAME };
		const { action, content } = await server.server.elicitInput(question, { relatedRequestId: requestId });
		if (action !== "accept") return text("Another time, then.");
		const { language = "en" } = (session.state.value ?? {}) as { language?: Language };
		return text(`${GREETINGS[language]}, ${String(content?.name)}`);
	});
	return server;
}
