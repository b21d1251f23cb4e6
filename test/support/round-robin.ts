/** One address before several processes: each request goes to the next one. Streams pass through as they come. */
import { Agent, createServer, request } from "node:http";

export interface Proxy {
	readonly url: string;
	close(): Promise<void>;
}

export async function startRoundRobin(ports: readonly number[]): Promise<Proxy> {
	const agent = new Agent({ keepAlive: true });
	let turn = 0;
	const server = createServer((req, res) => {
		const port = ports[turn++ % ports.length] as number;
		const { url: path, method, headers } = req;
		const forward = request({ agent, host: "localhost", port, path, method, headers }, (answer) => {
			res.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
			res.flushHeaders();
			answer.pipe(res);
			// The server went away in the middle: the client must see its stream break, not end.
			answer.on("aborted", () => res.destroy());
		});
		forward.on("error", () => (res.headersSent ? res.destroy() : res.writeHead(502).end()));
		res.on("close", () => forward.destroy());
		req.pipe(forward);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(0, "localhost", resolve);
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
	return {
		url: `http://localhost:${address.port}`,
		async close() {
			server.closeAllConnections();
			agent.destroy();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}
