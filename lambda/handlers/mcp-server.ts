/**
 * An example MCP server on Lambda. `mcp-fanout` comes from the layer and the MCP SDK from this bundle; a tool call
 * publishes, and every client stream that should see it does, wherever its process is. Listens are held where answers
 * are streamed.
 */
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { streamify } from "mcp-fanout/lambda";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildServer } from "./mcp-tools.ts";
import { report } from "./powertools.ts";

const onerror = ({ code, message }: { code: string; message: string }) => report("mcp-server", { code, message });

async function start() {
	const fanout = await createFanout({ onerror });
	const mcp = createMcpHandler(() => buildServer(fanout), { bus: fanout.bus() });
	return { app: createFleetHandler(mcp, { fanout }), fanout };
}

export const handler = streamify(start, { onerror });
