/** A function whose sessions of the 2025 era are served by servers of the SDK's v1 or v2, as SESSION_SERVER says. */
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { streamify } from "mcp-fanout/lambda";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildV1 } from "../sessions/build-v1.ts";
import { buildV2 } from "../sessions/build-v2.ts";

const { AWS_LAMBDA_FUNCTION_NAME: name = "", SESSION_SERVER: version } = process.env;

export const handler = streamify(async () => {
	const fanout = await createFanout();
	const tools = {
		/** The function, and how much it follows at this moment. */
		get place() {
			return `${name} ${fanout.health().lanes}`;
		},
		async publish(sessions: readonly string[], from: number, count: number) {
			for (let n = from; n < from + count; n += 1) {
				const params = { level: "info", data: "numbered", _meta: { n } };
				const message = { method: "notifications/message", params };
				await Promise.all(sessions.map((session) => fanout.to({ session }).send(message)));
			}
		},
	};
	const mcp = createMcpHandler(() => buildV2(tools), { bus: fanout.bus() });
	const sessions = () => (version === "v1" ? buildV1(tools) : buildV2(tools));
	const sessionOptions = { retryMs: 100, resumePosts: true };
	return { app: createFleetHandler(mcp, { fanout, sessions, sessionOptions }), fanout };
});
