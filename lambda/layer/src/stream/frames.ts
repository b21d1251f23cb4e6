/**
 * Framing of what a client stream shows. An envelope's JSON is made once for all streams and escaped to ASCII, so
 * that a frame's length is its byte length and it can be written as latin1; only the id line differs per stream.
 * A cursor frame has an event name and an EMPTY data line: parsers of MCP clients drop id-only frames, and a bare
 * empty data line would fire `onmessage`.
 */
import { type Envelope, encodeMessage } from "../core/envelope.ts";
import type { Reason } from "../deliver/sink.ts";

export interface Encoding {
	message(json: string, cursor: string | undefined): string;
	cursor(cursor: string): string;
	mark(reason: Reason, cursor: string): string;
	end(reason: Reason): string;
}

const NOT_ASCII = /[\u0080-\uffff]/;
const EACH_NOT_ASCII = /[\u0080-\uffff]/g;

function escapeUnit(unit: string): string {
	return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** JSON text in pure ASCII: outside strings JSON has no other characters, inside them every UTF-16 unit may be escaped. */
export function toAscii(text: string): string {
	return NOT_ASCII.test(text) ? text.replace(EACH_NOT_ASCII, escapeUnit) : text;
}

const made = new WeakMap<Envelope, string>();
// A broadcast asks ten thousand times for the same envelope: one comparison is cheaper than a WeakMap's hash.
let lastSeen: Envelope | undefined;
let lastJson = "";

/** The message's JSON, made once per envelope object. */
export function messageJson(envelope: Envelope): string {
	if (envelope === lastSeen) return lastJson;
	let json = made.get(envelope);
	if (json === undefined) {
		json = toAscii(encodeMessage(envelope));
		made.set(envelope, json);
	}
	lastSeen = envelope;
	lastJson = json;
	return json;
}

export const sseEncoding: Encoding = {
	message: (json, cursor) => (cursor === undefined ? `data: ${json}\n\n` : `id: ${cursor}\ndata: ${json}\n\n`),
	cursor: (cursor) => `event: cursor\nid: ${cursor}\ndata: \n\n`,
	mark: (reason, cursor) => `event: mark\nid: ${cursor}\ndata: {"reason":"${reason}"}\n\n`,
	end: (reason) => `event: end\ndata: {"reason":"${reason}"}\n\n`,
};

export const SSE_HEARTBEAT = ": hb\n\n";

export const jsonEncoding: Encoding = {
	message: (json, cursor) =>
		cursor === undefined ? `{"message":${json}}` : `{"cursor":"${cursor}","message":${json}}`,
	cursor: (cursor) => `{"cursor":"${cursor}"}`,
	mark: (reason, cursor) => `{"mark":"${reason}","cursor":"${cursor}"}`,
	end: (reason) => `{"end":"${reason}"}`,
};
