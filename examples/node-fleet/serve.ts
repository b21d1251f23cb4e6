/** The HTTP server around the MCP handler, the same for one process and for many: Host, health, authentication. */
import { createServer, type Server } from "node:http";
import { type FetchLikeMcpHandler, hostHeaderValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { authenticate } from "./authenticate.ts";

export function serve(
	handler: FetchLikeMcpHandler & { readonly listens?: number },
	health: () => { readonly ready: boolean },
): Server {
	const serveMcp = toNodeHandler(handler);
	// A page that a browser was led to by a rebound name is refused: list the names that your clients use.
	const isOurHost = hostHeaderValidation((process.env.ALLOWED_HOSTS ?? "localhost,127.0.0.1").split(","));
	const server = createServer((req, res) => {
		if (!isOurHost(req, res)) return;
		if (req.url === "/health") {
			const said = health();
			res
				.writeHead(said.ready ? 200 : 503)
				.end(JSON.stringify({ ...said, listens: handler.listens ?? 0, pid: process.pid }));
			return;
		}
		const { method = "GET", url = "/" } = req;
		const auth = authenticate(req);
		serveMcp(Object.assign(req, { method, url }, auth && { auth }), res);
	});
	return server.listen(Number(process.env.PORT ?? 3000));
}
