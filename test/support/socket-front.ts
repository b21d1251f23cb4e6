/**
 * A TCP front for WebSocket clients of the emulator, which never answers Sec-WebSocket-Protocol: clients that offer
 * protocols (ours carry the ticket there) must then fail the connection. Where the 101 has no such header and the
 * request offered `mcp-fanout`, it is added; every other byte passes unchanged, both ways. AWS answers what $connect
 * returned, which the template and unit tests assert.
 */
import { createServer, connect as dial, type Socket } from "node:net";

const PROTOCOL = "mcp-fanout";
const MAX_HEAD_BYTES = 64 * 1024;

export interface SocketFront {
	readonly endpoint: string;
	close(): Promise<void>;
}

export async function startSocketFront(target: string): Promise<SocketFront> {
	const url = new URL(target);
	const sockets = new Set<Socket>();
	const track = (socket: Socket) => {
		sockets.add(socket.setNoDelay(true));
		socket.once("close", () => sockets.delete(socket));
		return socket;
	};
	const server = createServer((client) => {
		const upstream = track(dial(Number(url.port || 80), url.hostname));
		join(track(client), upstream);
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(0, "localhost", resolve);
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
	return {
		endpoint: `ws://localhost:${address.port}`,
		async close() {
			for (const socket of sockets) socket.destroy();
			await new Promise((resolve) => server.close(resolve));
		},
	};
}

function join(client: Socket, upstream: Socket): void {
	let offered = false;
	for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
		from.on("error", () => to.destroy());
		from.on("close", () => to.destroy());
	}
	onHead(client, (head, rest) => {
		offered = protocolsOf(head).includes(PROTOCOL);
		upstream.write(Buffer.concat([Buffer.from(head, "latin1"), rest]));
		client.pipe(upstream);
	});
	onHead(upstream, (head, rest) => {
		const bare = offered && head.startsWith("HTTP/1.1 101") && protocolsOf(head).length === 0;
		const answer = bare ? head.replace("\r\n", `\r\nSec-WebSocket-Protocol: ${PROTOCOL}\r\n`) : head;
		client.write(Buffer.concat([Buffer.from(answer, "latin1"), rest]));
		upstream.pipe(client);
	});
}

function protocolsOf(head: string): string[] {
	const line = /^sec-websocket-protocol:(.*)$/im.exec(head)?.[1] ?? "";
	return line
		.split(",")
		.map((protocol) => protocol.trim())
		.filter((protocol) => protocol !== "");
}

function onHead(socket: Socket, done: (head: string, rest: Buffer) => void): void {
	let seen: Buffer = Buffer.alloc(0);
	const onData = (chunk: Buffer) => {
		seen = Buffer.concat([seen, chunk]);
		const end = seen.indexOf("\r\n\r\n");
		if (end < 0) {
			if (seen.length > MAX_HEAD_BYTES) socket.destroy();
			return;
		}
		socket.off("data", onData);
		socket.pause();
		done(seen.toString("latin1", 0, end + 4), seen.subarray(end + 4));
	};
	socket.on("data", onData);
}
