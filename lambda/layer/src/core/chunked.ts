/**
 * Streamed responses of node:http written past it: on HTTP/1.1 with chunked encoding a chunk can be framed here and
 * written straight to the socket. node:http's own write holds each back until the next tick and costs more CPU.
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** The socket to write to, when nothing but plain HTTP/1.1 chunks stands between the response and it; its head has left. */
export function directSocket(res: ServerResponse): Socket | undefined {
	const { socket } = res;
	// Not imported: who has a response has node:http loaded, and who has none does not pay for it.
	const { prototype } = process.getBuiltinModule("node:http").ServerResponse;
	const isPlain = res.write === prototype.write && res.end === prototype.end;
	if (!isPlain || !res.chunkedEncoding || res.hasHeader("Content-Encoding")) return undefined;
	// A pipelined response has no socket yet; one whose head still waits inside it must not be overtaken.
	return socket !== null && res.writableLength === socket.writableLength ? socket : undefined;
}

/** Lengths as chunks spell them, of what most frames have: spelled anew, each costs as much as the rest of its frame. */
const HEX = Array.from({ length: 2_048 }, (_, length) => length.toString(16));

/** A chunk; each character of the text is a byte. */
export function chunkOf(text: string): string {
	return `${HEX[text.length] ?? text.length.toString(16)}\r\n${text}\r\n`;
}
