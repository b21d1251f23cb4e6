/**
 * Headers past the client's own class. On the way out it encodes whatever has `encode()`; it would check and canonicalise
 * each name at every publish, which costs more than the publish. Names here are constants and values are made by us,
 * so the bytes are written directly; a method name is the only text from outside, and it is made one line. On the way
 * in it would make objects of every line, which costs more than all else that a live entry needs.
 */
import type { Msg, MsgHdrs } from "./client.ts";

export const METHOD = "Fanout-Method";
export const NUDGE = "Fanout-End";
/** Longest method in a header, in characters. */
const MAX_METHOD = 128;

export function rawHeaders(lines: string): MsgHdrs {
	const raw = { encode: () => Buffer.from(`NATS/1.0\r\n${lines}\r\n`) };
	return raw as unknown as MsgHdrs;
}

export function methodLine(method: string | undefined): string {
	if (method === undefined) return "";
	return `${METHOD}: ${method.slice(0, MAX_METHOD).replace(/[^\x21-\x7e]/g, "?")}\r\n`;
}

/** How header lines begin, unless they say a status. */
export const PLAIN = "NATS/1.0\r\n";

/** The client's messages say how long they are, though its types do not. */
type Sized = Msg & { size?(): number };

/** A message's header lines. They stand in front of its data; where they do not, the client's own reader has them. */
export function headerLines(msg: Sized, subject: string): string {
	const { data } = msg;
	const length = (msg.size?.() ?? 0) - subject.length - data.length;
	if (length > PLAIN.length && length <= data.byteOffset) {
		const lines = Buffer.from(data.buffer, data.byteOffset - length, length).toString("latin1");
		if (lines.startsWith(PLAIN)) return lines;
	}
	return msg.headers?.toString() ?? "";
}

/** A header's value, or an empty text. The last of several: the server adds its own at the end. */
export function headerOf(lines: string, name: string): string {
	const at = lines.lastIndexOf(`\r\n${name}: `);
	if (at < 0) return "";
	const from = at + name.length + 4;
	return lines.slice(from, lines.indexOf("\r\n", from));
}
