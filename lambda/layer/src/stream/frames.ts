/**
 * Framing of what a client stream shows. An envelope's JSON is made once for all streams and escaped to ASCII, so
 * that a frame's length is its byte length and it can be written as latin1; only the id line differs per stream.
 * A cursor frame has an event name and an EMPTY data line: parsers of MCP clients drop id-only frames, and a bare
 * empty data line would fire `onmessage`.
 */
import type { Reason } from "../core/client-feed.ts";
import { type Envelope, encodeMessageAscii } from "../core/envelope.ts";
import { sseCursor } from "../core/sse.ts";

export interface Encoding {
	message(json: string, cursor: string | undefined): string;
	cursor(cursor: string): string;
	mark(reason: Reason, cursor: string): string;
	end(reason: Reason): string;
}

// A lane hands one envelope to all its streams in a row, so the last one is all that is worth remembering: a WeakMap
// of every envelope costs the garbage collector more than it saves.
let lastEnvelope: Envelope | undefined;
let lastJson = "";

/** The message's JSON in ASCII, made once for all streams that are handed the envelope in a row. */
export function messageJson(envelope: Envelope): string {
	if (envelope !== lastEnvelope) {
		lastJson = encodeMessageAscii(envelope);
		lastEnvelope = envelope;
	}
	return lastJson;
}

export const sseEncoding: Encoding = {
	message: (json, cursor) => (cursor === undefined ? `data: ${json}\n\n` : `id: ${cursor}\ndata: ${json}\n\n`),
	cursor: sseCursor,
	mark: (reason, cursor) => `event: mark\nid: ${cursor}\ndata: {"reason":"${reason}"}\n\n`,
	end: (reason) => `event: end\ndata: {"reason":"${reason}"}\n\n`,
};

export const jsonEncoding: Encoding = {
	message: (json, cursor) =>
		cursor === undefined ? `{"message":${json}}` : `{"cursor":"${cursor}","message":${json}}`,
	cursor: (cursor) => `{"cursor":"${cursor}"}`,
	mark: (reason, cursor) => `{"mark":"${reason}","cursor":"${cursor}"}`,
	end: (reason) => `{"end":"${reason}"}`,
};
