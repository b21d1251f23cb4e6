/**
 * Headers on the way out. The client encodes whatever has `encode()`; its own header class checks and canonicalises
 * each name at every publish, which costs more than the publish. Names here are constants and values are made by us,
 * so the bytes are written directly; a method name is the only text from outside, and it is made one line.
 */
import type { MsgHdrs } from "./client.ts";

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
