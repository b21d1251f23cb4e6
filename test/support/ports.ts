/**
 * Free ports on the loopback, below those that the system gives to outgoing connections (32,768 and up on Linux): one
 * of those may be taken by any connection before its server stands. Nor does another test take it meanwhile: each worker
 * has a range of its own, and gives the same one again only much later.
 */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

const LOWEST = 10_000;
const RANGES = 4;
const RANGE = 5_500;
/** Given out last; their servers may not stand yet. */
const KEPT = 300;

/** The environment variable that says how many ranges the workers of another run have that goes on beside this one. */
export const PORTS_FROM = "FANOUT_TEST_PORTS_FROM";

/** From 1 for those that run at the same time; none outside of tests. */
const worker = Number(process.env.VITEST_POOL_ID ?? 0) + Number(process.env[PORTS_FROM] ?? 0);
const first = LOWEST + (worker % RANGES) * RANGE;
const given: number[] = [];

function draw(): number {
	for (;;) {
		const port = randomInt(first, first + RANGE);
		if (given.includes(port)) continue;
		given.push(port);
		if (given.length > KEPT) given.shift();
		return port;
	}
}

async function hold(): Promise<{ server: Server; port: number }> {
	for (;;) {
		const port = draw();
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
