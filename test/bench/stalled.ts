/** Readers that never read, through a million events: memory stays flat, and each is told or served what it needs. */
import { once } from "node:events";
import { connect } from "node:net";
import { startServer } from "./peers.ts";

const FLAT_BYTES = 10 * 1024 * 1024;
const WARM_UP = 100_000;
const READERS = ["stalled", "coalescing"] as const;

interface Told {
	readonly rss: number;
	readonly heap: number;
	readonly reasons: Readonly<Record<string, string>>;
}

export async function runStalled(events: number): Promise<boolean> {
	const server = await startServer<{ events: number }, Told>("stalled-server.ts", []);
	const sockets = READERS.map(() => connect(server.port, "127.0.0.1"));
	try {
		const before = await server.order({ events: WARM_UP });
		for (const [index, socket] of sockets.entries()) {
			socket.on("error", () => undefined);
			socket.write(`GET /${READERS[index]} HTTP/1.1\r\nHost: bench\r\n\r\n`);
			await once(socket, "readable");
		}
		const after = await server.order({ events });
		const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MB`;
		const grown = after.rss - before.rss;
		const isFlat = Math.abs(grown) <= FLAT_BYTES;
		console.log(
			`stalled readers through ${events} events: RSS ${megabytes(before.rss)} before, ${megabytes(after.rss)} after, ${megabytes(grown)} grown, heap ${megabytes(after.heap - before.heap)} (at most ±${megabytes(FLAT_BYTES)})${isFlat ? "" : " missed"}`,
		);
		for (const [name, reason] of Object.entries(after.reasons)) console.log(`  ${name}: ${reason}`);
		return isFlat;
	} finally {
		for (const socket of sockets) socket.destroy();
		await server.stop();
	}
}
