/**
 * Free ports on the loopback, below those that the system gives to outgoing connections (32,768 and up on Linux): one
 * of those may be taken by any connection before its server stands. Two are never the same in one call: all are held
 * until the last one is known.
 */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

const LOWEST = 10_000;
const HIGHEST = 32_000;

async function hold(): Promise<{ server: Server; port: number }> {
	for (;;) {
		const port = randomInt(LOWEST, HIGHEST);
		const server = createServer().listen(port, "127.0.0.1");
		try {
			await once(server, "listening");
			return { server, port };
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
		}
	}
}

export async function freePorts(count: number): Promise<number[]> {
	const held = await Promise.all(Array.from({ length: count }, hold));
	await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))));
	return held.map(({ port }) => port);
}

export async function freePort(): Promise<number> {
	const [port] = await freePorts(1);
	return port as number;
}
