/**
 * A server that accepts a connection and says nothing: when the first dial is given up, the client library leaves its
 * socket open, one for each try of a start. No option of it closes it, so what heard nothing for as long as a dial may
 * take is closed here. The first word of a NATS server is its own, and comes at once.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

const CREATED = "net.client.socket";
const DEFAULT_PORT = 4222;

function portOf(server: string): number {
	const { port } = new URL(server.includes("://") ? server : `nats://${server}`);
	return port === "" ? DEFAULT_PORT : Number(port);
}

/** Of what is dialled until the answer is called; sockets to other ports are left alone. */
export function closeSilent(servers: readonly string[], afterMs: number): () => void {
	const ports = new Set(servers.map(portOf));
	const created = (message: unknown): void => {
		const { socket } = message as { readonly socket: Socket };
		// Ours comes before the library's, which takes all listeners off.
		socket.once("connect", () => {
			if (!ports.has(socket.remotePort ?? 0)) return;
			setTimeout(() => socket.bytesRead === 0 && socket.destroy(), afterMs).unref();
		});
	};
	subscribe(CREATED, created);
	return () => void unsubscribe(CREATED, created);
}
