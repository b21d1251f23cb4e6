/** Three processes of examples/node-fleet with the suite's tools, behind one round-robin address. */
import { type McpFleet, startMcpFleet } from "../support/mcp-fleet.ts";

const FIXTURE = new URL("./fixture/register.ts", import.meta.url);

export const startConformanceFleet = (): Promise<McpFleet> => startMcpFleet(3, { preload: FIXTURE });
