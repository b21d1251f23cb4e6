/**
 * An MCP server on Lambda, for clients of both eras. `mcp-fanout` comes from the layer, the MCP SDK from this function's
 * own bundle. A tool call publishes and costs no connection that stays; a listen, or a session's GET stream, is held
 * until shortly before the function's deadline.
 */
import { createMcpHandler } from "@modelcontextprotocol/server";
import { createFanout } from "mcp-fanout";
import { streamify } from "mcp-fanout/lambda";
import { createFleetHandler } from "mcp-fanout/mcp";
import { buildServer } from "../node-fleet/build-server.ts";

export const handler = streamify(async () => {
	const fanout = await createFanout(); // the cell, from the environment that the layer's construct has set
	const build = () => buildServer(fanout, undefined);
	const mcp = createMcpHandler(build, { bus: fanout.bus() });
	return { app: createFleetHandler(mcp, { fanout, sessions: build }), fanout };
});
