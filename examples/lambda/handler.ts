/**
 * An MCP server on Lambda. `mcp-fanout` comes from the layer, the MCP SDK from this function's own bundle. A tool call
 * publishes and costs no connection that stays; a listen is held until shortly before the function's deadline.
 */
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { streamify } from "mcp-fanout/lambda";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildServer } from "../node-fleet/build-server.ts";

export const handler = streamify(async () => {
	const fanout = await createFanout(); // the cell, from the environment that the layer's construct has set
	const mcp = createMcpHandler(() => buildServer(fanout, undefined), { bus: fanout.bus() });
	return { app: createFleetHandler(mcp, { fanout }), fanout };
});
