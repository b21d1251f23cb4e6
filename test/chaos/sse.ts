/**
 * A client of server-sent events that is cheap enough for ten thousand in one process: a bare socket, chunked HTTP/1.1.
 * The id counts when its event is dispatched, as the standard has it.
 */
import { connect, type Socket } from "node:net";

export interface SseHandlers {
	/** `isBare`: it had no id line, so that the id is an earlier one's. */
	event(type: string, data: string, id: string, isBare: boolean): void;
	/** Once: the server ended it, refused it, or it broke. Not after `cut()`. */
	lost(status: number): void;
}

export interface SseConnection {
	/** As a network does: without a goodbye to the server. */
	cut(): void;
}

const HEAD_END = "\r\n\r\n";

export function openSseConnection(
	port: number,
	path: string,
	lastEventId: string,
	handlers: SseHandlers,
): SseConnection {
	const socket: Socket = connect(port, "127.0.0.1");
	socket.setNoDelay(true).setEncoding("latin1");
	const resume = lastEventId === "" ? "" : `Last-Event-ID: ${lastEventId}\r\n`;
	socket.write(`GET ${path} HTTP/1.1\r\nHost: chaos\r\nAccept: text/event-stream\r\n${resume}\r\n`);
	let status = 0;
	let raw = "";
	let text = "";
	let id = lastEventId;
	let isOver = false;

	function over(): void {
		if (isOver) return;
		isOver = true;
		socket.destroy();
		handlers.lost(status);
	}

	function dispatch(block: string): void {
		let type = "message";
		const data: string[] = [];
		let isBare = true;
		for (const line of block.split("\n")) {
			const colon = line.indexOf(":");
			if (colon <= 0) continue;
			const value = line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
			const name = line.slice(0, colon);
			if (name === "data") data.push(value);
			else if (name === "event") type = value;
			else if (name === "id") {
				id = value;
				isBare = false;
			}
		}
		if (data.length > 0 && !isOver) handlers.event(type, data.join("\n"), id, isBare);
	}

	function takeText(part: string): void {
		text += part;
		let at = 0;
		for (let end = text.indexOf("\n\n", at); end >= 0; end = text.indexOf("\n\n", at)) {
			dispatch(text.slice(at, end));
			at = end + 2;
		}
		text = text.slice(at);
	}

	function takeChunks(): void {
		while (!isOver) {
			const line = raw.indexOf("\r\n");
			if (line < 0) return;
			const size = Number.parseInt(raw.slice(0, line), 16);
			if (raw.length < line + 2 + size + 2) return;
			const chunk = raw.slice(line + 2, line + 2 + size);
			raw = raw.slice(line + 2 + size + 2);
			if (size > 0) takeText(chunk);
			else over();
		}
	}

	socket.on("data", (part: string) => {
		if (isOver) return;
		raw += part;
		if (status === 0) {
			const end = raw.indexOf(HEAD_END);
			if (end < 0) return;
			status = Number(raw.slice(9, 12));
			if (status !== 200) {
				over();
				return;
			}
			raw = raw.slice(end + HEAD_END.length);
		}
		takeChunks();
	});
	socket.on("error", over);
	socket.on("close", over);
	return {
		cut() {
			isOver = true;
			socket.destroy();
		},
	};
}
