/** Listens as raw sockets, which cost their process little: each asks for its own resource and for the list of tools. */
import { connect, type Socket } from "node:net";

const OPENING = 100;
const END = Buffer.from("event: message");

export interface Listens {
	/** Frames that came so far, acknowledgements included. */
	readonly frames: number;
	until(frames: number): Promise<void>;
	close(): void;
}

export function listenRequest(id: number, uris: readonly string[]): string {
	const notifications = { toolsListChanged: true, resourceSubscriptions: uris };
	const _meta = {
		"io.modelcontextprotocol/protocolVersion": "2026-07-28",
		"io.modelcontextprotocol/clientInfo": { name: "bench", version: "1.0.0" },
		"io.modelcontextprotocol/clientCapabilities": {},
	};
	const body = JSON.stringify({ jsonrpc: "2.0", id, method: "subscriptions/listen", params: { notifications, _meta } });
	const head = [
		"POST /mcp HTTP/1.1",
		"Host: localhost",
		"Content-Type: application/json",
		"Accept: application/json, text/event-stream",
		"MCP-Protocol-Version: 2026-07-28",
		"Mcp-Method: subscriptions/listen",
		`Content-Length: ${Buffer.byteLength(body)}`,
	];
	return `${head.join("\r\n")}\r\n\r\n${body}`;
}

/** Resolves when all are acknowledged. */
export async function openListens(port: number, count: number): Promise<Listens> {
	const sockets: Socket[] = [];
	let frames = 0;
	let waiting: { readonly frames: number; resolve(): void } | undefined;
	const onData = (chunk: Buffer) => {
		for (let at = chunk.indexOf(END); at >= 0; at = chunk.indexOf(END, at + END.length)) frames += 1;
		if (waiting !== undefined && frames >= waiting.frames) waiting.resolve();
	};
	const listens: Listens = {
		get frames() {
			return frames;
		},
		async until(wanted) {
			if (frames >= wanted) return;
			const { promise, resolve } = Promise.withResolvers<void>();
			waiting = { frames: wanted, resolve };
			await promise;
		},
		close() {
			for (const socket of sockets) socket.destroy();
		},
	};
	for (let id = 0; id < count; id += 1) {
		const socket = connect(port, "127.0.0.1");
		socket.on("error", () => undefined);
		socket.on("data", onData);
		socket.write(listenRequest(id, [`docs://${id}`]));
		sockets.push(socket);
		if (id % OPENING === OPENING - 1) await listens.until(id + 1);
	}
	await listens.until(count);
	return listens;
}
