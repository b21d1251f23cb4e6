/**
 * An example MCP server on Lambda. `mcp-fanout` comes from the layer and the MCP SDK from this bundle; a tool call
 * publishes, and every client stream that should see it does, wherever its process is.
 */
import { createMcpHandler } from "@modelcontextprotocol/server";
import type { Context } from "aws-lambda";
import { createFanout } from "mcp-fanout";
import { type LambdaHandler, streamify } from "mcp-fanout/lambda";
import { buildServer } from "./mcp-tools.ts";
import { handle } from "./powertools.ts";

async function start(): Promise<LambdaHandler> {
	const fanout = await createFanout();
	return streamify(
		createMcpHandler(() => buildServer(fanout), { bus: fanout.bus() }),
		{ fanout },
	);
}

let started: Promise<LambdaHandler> | undefined;

export const handler = handle(async (event: unknown, context: Context) => {
	started ??= start();
	started.catch(() => {
		started = undefined; // the next invocation tries again; this one fails by the same error
	});
	return (await started)(event, context);
});
