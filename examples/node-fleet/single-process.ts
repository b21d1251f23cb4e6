/**
 * The same server as the SDK alone makes it: one process. Run two of these behind a load balancer, and a client hears
 * of a change only when it happens to listen where the change was announced.
 */
import { createMcpHandler, type McpServerFactory } from "@modelcontextprotocol/server";
import { userOf } from "./authenticate.ts";
import { buildServer } from "./build-server.ts";
import { serve } from "./serve.ts";

const build: McpServerFactory = (context) => buildServer(handler, userOf(context));
const handler = createMcpHandler(build);
const server = serve(handler, () => ({ ready: true }));

process.once("SIGTERM", async () => {
	server.close();
	await handler.close();
	server.closeAllConnections();
});
