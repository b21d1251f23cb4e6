/**
 * A WebSocket API on loopback that a test scripts. It keeps the rows and ends that a cell keeps and answers like one,
 * unless the script says otherwise: hold answers, refuse handshakes or channels, go silent, cut, send anything.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface SentFrame {
	readonly action: string;
	readonly ref: number;
	readonly channels?: readonly string[];
	readonly again?: boolean;
}

export interface ApiConnection {
	readonly frames: SentFrame[];
	readonly rows: Set<string>;
	readonly bytes: number[];
	open: boolean;
	send(frame: unknown): void;
	/** Cuts the connection without a word. */
	cut(): void;
	/** Reads and answers nothing more, and keeps the connection: a half-open peer. */
	freeze(): void;
}

export interface ScriptedApi {
	readonly url: string;
	readonly connections: ApiConnection[];
	readonly last: ApiConnection;
	/** The ends of the logs, by channel key: the offset. */
	readonly ends: Map<string, number>;
	readonly refusals: Map<string, string>;
	/** A status refuses the handshake, `silent` never answers it. */
	handshake: "accept" | "silent" | number;
	/** Replaces the answer to a frame: what it returns is sent, `undefined` sends nothing. */
	answer: ((frame: SentFrame, connection: ApiConnection, usual: () => unknown) => unknown) | undefined;
	/** Appends an entry and posts it to the connections with a row. */
	publish(key: string, envelope?: unknown): void;
	close(): Promise<void>;
}

export const EPOCH = "0000abcd";
export const entryFrame = (channel: string, offset: number, envelope: unknown = null) => ({
	t: "entries",
	channel,
	entries: [{ p: `${EPOCH}.${offset}`, prev: `${EPOCH}.${offset - 1}`, e: envelope }],
});

export async function createScriptedApi(): Promise<ScriptedApi> {
	const http: Server = createServer();
	const sockets = new WebSocketServer({ noServer: true });
	const raw = new Set<Socket>();
	const connections: ApiConnection[] = [];
	await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
	const endOf = (key: string) => (api.ends.has(key) ? `${EPOCH}.${api.ends.get(key)}` : "00000000.0");

	function usual(frame: SentFrame, connection: ApiConnection): unknown {
		if (frame.action === "ping") return { t: "pong", ref: frame.ref };
		const keys = frame.channels ?? [];
		if (frame.action === "unsubscribe") {
			for (const key of keys) connection.rows.delete(key);
			return { t: "unsubscribed", ref: frame.ref };
		}
		const accepted = keys.filter((key) => !api.refusals.has(key));
		for (const key of accepted) connection.rows.add(key);
		const refused = keys.filter((key) => api.refusals.has(key)).map((key) => [key, api.refusals.get(key)]);
		return { t: "subscribed", ref: frame.ref, ends: accepted.map((key) => [key, endOf(key)]), refused };
	}

	function adopt(socket: WebSocket): void {
		let frozen = false;
		const connection: ApiConnection = {
			frames: [],
			rows: new Set(),
			bytes: [],
			open: true,
			send: (frame) => {
				if (!frozen && connection.open) socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
			},
			cut: () => socket.terminate(),
			freeze: () => {
				frozen = true;
				socket.pause();
			},
		};
		connections.push(connection);
		socket.on("error", () => socket.terminate());
		socket.on("close", () => {
			connection.open = false;
			connection.rows.clear();
		});
		socket.on("message", (data) => {
			const text = String(data);
			const frame = JSON.parse(text) as SentFrame;
			connection.frames.push(frame);
			connection.bytes.push(Buffer.byteLength(text));
			const reply = api.answer
				? api.answer(frame, connection, () => usual(frame, connection))
				: usual(frame, connection);
			if (reply !== undefined) connection.send(reply);
		});
	}

	http.on("upgrade", (request, socket, head) => {
		raw.add(socket as Socket);
		socket.on("close", () => raw.delete(socket as Socket));
		if (api.handshake === "silent") return;
		if (api.handshake !== "accept") {
			socket.end(`HTTP/1.1 ${api.handshake} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
			return;
		}
		sockets.handleUpgrade(request, socket, head, adopt);
	});

	const api: ScriptedApi = {
		url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}/stage`,
		connections,
		get last() {
			const last = connections.at(-1);
			if (last === undefined) throw new Error("nobody has connected");
			return last;
		},
		ends: new Map(),
		refusals: new Map(),
		handshake: "accept",
		answer: undefined,
		publish(key, envelope) {
			const offset = (api.ends.get(key) ?? 0) + 1;
			api.ends.set(key, offset);
			for (const connection of connections) {
				if (connection.rows.has(key)) connection.send(entryFrame(key, offset, envelope));
			}
		},
		async close() {
			for (const socket of raw) socket.destroy();
			await new Promise((resolve) => http.close(resolve));
		},
	};
	return api;
}

/** Waits for I/O, never for time: fails after five seconds without the condition. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
	const limit = Date.now() + 5_000;
	while (!(await holds())) {
		if (Date.now() > limit) throw new Error(`never happened: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 2));
	}
}
