/**
 * The frames of the cell's WebSocket APIs, both ways: JSON text, checked here and nowhere else. What a client sends
 * is at most MAX_CLIENT_FRAME_BYTES (API Gateway cuts larger frames off), what the cell posts at most
 * MAX_SERVER_FRAME_BYTES, except that one entry always fits a frame alone (envelopes are bounded at acceptance).
 */
import { parseChannel } from "../../core/channel.ts";
import { encodeEnvelope, readEnvelope } from "../../core/envelope.ts";
import { FanoutError, isFanoutError } from "../../core/errors.ts";
import { formatPosition, type Position, parsePosition } from "../../core/position.ts";
import type { Entry, Verdict } from "../../core/transport.ts";

export const MAX_CLIENT_FRAME_BYTES = 30 * 1024;
export const MAX_SERVER_FRAME_BYTES = 120 * 1024;
/** Channels in one subscribe or unsubscribe: what the cell can serve well inside API Gateway's 29 s. */
export const MAX_FRAME_CHANNELS = 200;
/** Entries of one page: an end client asks for them, and every one is a strongly consistent read. */
export const MAX_PAGE_ENTRIES = 100;

export type ClientFrame =
	| {
			readonly action: "subscribe" | "unsubscribe";
			readonly ref: number;
			readonly channels: readonly string[];
			/** They stood before, here or in that region: sessions that moved away from it meanwhile are not taken back. */
			readonly again?: true | string;
	  }
	| { readonly action: "ping"; readonly ref: number }
	| {
			readonly action: "read";
			readonly ref: number;
			readonly channel: string;
			readonly from: Position;
			readonly limit: number;
	  }
	| { readonly action: "renew"; readonly ref: number; readonly ticket: string };

/** Refusal of a session, subscribed to again, whose home is another region by now. */
export const MOVED = "moved";

export type EndReason = "gap" | "expired" | "slow-consumer" | "shutdown";

export type ServerFrame =
	| {
			readonly t: "subscribed";
			readonly ref: number;
			readonly region?: string;
			readonly ends: readonly (readonly [key: string, end: Position])[];
			readonly refused: readonly (readonly [key: string, code: string])[];
	  }
	| { readonly t: "unsubscribed" | "pong"; readonly ref: number }
	| { readonly t: "renewed"; readonly ref: number; readonly expiresAt: number }
	| { readonly t: "entries"; readonly channel: string; readonly entries: readonly Entry[] }
	| {
			readonly t: "page";
			readonly ref: number;
			readonly channel: string;
			readonly entries: readonly Entry[];
			readonly more: boolean;
			readonly verdict: Verdict;
	  }
	| { readonly t: "moved"; readonly channel: string }
	| { readonly t: "end"; readonly reason: EndReason }
	| { readonly t: "error"; readonly ref?: number; readonly code: string; readonly message: string };

/** An entry as rows and frames hold it: the envelope's text is never parsed on its way through the cell. */
export interface WireEntry {
	readonly position: Position;
	readonly prev: Position;
	/** Envelope JSON; absent for a gap row. */
	readonly text?: string | undefined;
}

type Fields = Record<string, unknown>;

function invalid(what: string, cause?: unknown): FanoutError {
	return new FanoutError("InvalidMessage", what, { cause });
}

function parseFields(text: string, maxBytes: number): Fields {
	const bytes = Buffer.byteLength(text);
	if (bytes > maxBytes) {
		throw new FanoutError("PayloadTooLarge", `a frame of ${bytes} bytes, at most ${maxBytes} are accepted`, {
			data: { bytes, maxBytes },
		});
	}
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw invalid("a frame is JSON", cause);
	}
	if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("a frame is a JSON object");
	return value as Fields;
}

function readRef(value: unknown): number {
	if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
		throw invalid("ref is a non-negative integer");
	}
	return value;
}

function readText(name: string, value: unknown, maxLength = 4096): string {
	if (typeof value !== "string" || value.length > maxLength) throw invalid(`${name} is a string`);
	return value;
}

function readList(name: string, value: unknown, maxLength: number): unknown[] {
	if (!Array.isArray(value) || value.length > maxLength) throw invalid(`${name} is a list of at most ${maxLength}`);
	return value;
}

/** The frame's `ref`, when it has one at all: for the answer to a frame that cannot be read. */
export function refOf(text: string): number | undefined {
	try {
		return readRef(parseFields(text, MAX_CLIENT_FRAME_BYTES).ref);
	} catch {
		return undefined; // an unreadable frame has no ref, and its error was told by whoever read it first
	}
}

/** Reads a frame from a client; channel keys are only checked to be text: each is refused on its own later. */
export function decodeClientFrame(text: string): ClientFrame {
	const fields = parseFields(text, MAX_CLIENT_FRAME_BYTES);
	const ref = readRef(fields.ref);
	switch (fields.action) {
		case "subscribe":
		case "unsubscribe": {
			const channels = readList("channels", fields.channels, MAX_FRAME_CHANNELS);
			const frame = { action: fields.action, ref, channels: channels.map((key) => readText("a channel key", key)) };
			const { again } = fields;
			return again === true || typeof again === "string" ? { ...frame, again } : frame;
		}
		case "ping":
			return { action: "ping", ref };
		case "read": {
			const { limit } = fields;
			if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_ENTRIES) {
				throw invalid(`limit is an integer from 1 to ${MAX_PAGE_ENTRIES}`);
			}
			const channel = readText("channel", fields.channel);
			return { action: "read", ref, channel, from: parsePosition(fields.from), limit };
		}
		case "renew":
			return { action: "renew", ref, ticket: readText("ticket", fields.ticket, MAX_CLIENT_FRAME_BYTES) };
		default:
			throw invalid("action is subscribe, unsubscribe, ping, read or renew");
	}
}

export function encodeClientFrame(frame: ClientFrame): string {
	const text = JSON.stringify(frame.action === "read" ? { ...frame, from: formatPosition(frame.from) } : frame);
	const bytes = Buffer.byteLength(text);
	if (bytes > MAX_CLIENT_FRAME_BYTES) {
		throw new FanoutError("PayloadTooLarge", `a frame of ${bytes} bytes, at most ${MAX_CLIENT_FRAME_BYTES} are sent`, {
			data: { bytes, maxBytes: MAX_CLIENT_FRAME_BYTES },
		});
	}
	return text;
}

/** Splits channel keys so that each part fits one subscribe or unsubscribe frame. */
export function chunkChannels(keys: readonly string[]): string[][] {
	const room = MAX_CLIENT_FRAME_BYTES - 100;
	const chunks: string[][] = [];
	let chunk: string[] = [];
	let bytes = 0;
	for (const key of keys) {
		const size = Buffer.byteLength(key) + 3;
		if (chunk.length > 0 && (bytes + size > room || chunk.length === MAX_FRAME_CHANNELS)) {
			chunks.push(chunk);
			chunk = [];
			bytes = 0;
		}
		chunk.push(key);
		bytes += size;
	}
	if (chunk.length > 0) chunks.push(chunk);
	return chunks;
}

export function toWireEntry(entry: Entry): WireEntry {
	const prev = entry.prev ?? { epoch: entry.position.epoch, offset: entry.position.offset - 1 };
	return { position: entry.position, prev, text: entry.envelope && encodeEnvelope(entry.envelope) };
}

function entryText({ position, prev, text }: WireEntry): string {
	return `{"p":"${formatPosition(position)}","prev":"${formatPosition(prev)}","e":${text ?? "null"}}`;
}

/** Entries of one channel as frames, in order; each is at most MAX_SERVER_FRAME_BYTES unless one entry fills it. */
export function encodeEntries(channelKey: string, entries: readonly WireEntry[]): string[] {
	const head = `{"t":"entries","channel":${JSON.stringify(channelKey)},"entries":[`;
	return chunkEntries(entries, Buffer.byteLength(head) + 2).map(({ texts }) => `${head}${texts.join(",")}]}`);
}

function chunkEntries(entries: readonly WireEntry[], overhead: number): { texts: string[] }[] {
	const chunks: { texts: string[] }[] = [];
	let texts: string[] = [];
	let bytes = overhead;
	for (const entry of entries) {
		const text = entryText(entry);
		const size = Buffer.byteLength(text) + 1;
		if (texts.length > 0 && bytes + size > MAX_SERVER_FRAME_BYTES) {
			chunks.push({ texts });
			texts = [];
			bytes = overhead;
		}
		texts.push(text);
		bytes += size;
	}
	if (texts.length > 0) chunks.push({ texts });
	return chunks;
}

/** One page frame: as many of the entries as fit; what is left out makes `more` true. */
export function encodePage(page: {
	readonly ref: number;
	readonly channel: string;
	readonly entries: readonly WireEntry[];
	readonly more: boolean;
	readonly verdict: Verdict;
}): string {
	const head = `{"t":"page","ref":${page.ref},"channel":${JSON.stringify(page.channel)},"verdict":"${page.verdict}",`;
	const chunks = chunkEntries(page.entries, Buffer.byteLength(head) + 32);
	return `${head}"more":${page.more || chunks.length > 1},"entries":[${chunks[0]?.texts.join(",") ?? ""}]}`;
}

/** Every other frame of the cell. Positions are spelled `epoch.offset`. */
export function encodeServerFrame(frame: Exclude<ServerFrame, { t: "entries" | "page" }>): string {
	if (frame.t !== "subscribed") return JSON.stringify(frame);
	return JSON.stringify({ ...frame, ends: frame.ends.map(([key, end]) => [key, formatPosition(end)]) });
}

function readEntry(raw: unknown): Entry {
	if (typeof raw !== "object" || raw === null) throw invalid("an entry is an object");
	const { p, prev, e } = raw as Fields;
	const place = { position: parsePosition(p), prev: parsePosition(prev) };
	if (e === null) return place;
	try {
		return { ...place, envelope: readEnvelope(e) };
	} catch (error) {
		// A newer publisher's version is a hole in this stream, told as a gap, and no reason to drop its neighbours.
		if (isFanoutError(error, "UnknownEnvelopeVersion")) return place;
		throw error;
	}
}

/** Largest frame that is read: one entry may fill more than MAX_SERVER_FRAME_BYTES; API Gateway's limit is 128 KB. */
const MAX_READ_BYTES = 128 * 1024;

function readPairs(name: string, value: unknown): [string, string][] {
	return readList(name, value, MAX_FRAME_CHANNELS).map((pair) => {
		const [key, text] = readList("a pair", pair, 2);
		return [readText("a channel key", key), readText(name, text)];
	});
}

/** Reads a frame of the cell. An envelope of a version this release cannot read makes its entry a gap. */
export function decodeServerFrame(text: string): ServerFrame {
	const fields = parseFields(text, MAX_READ_BYTES);
	const entries = () => readList("entries", fields.entries, Number.MAX_SAFE_INTEGER).map(readEntry);
	const channel = () => parseChannel(fields.channel).key;
	switch (fields.t) {
		case "subscribed": {
			const ends = readPairs("ends", fields.ends).map(([key, end]) => [key, parsePosition(end)] as const);
			return { t: "subscribed", ref: readRef(fields.ref), ends, refused: readPairs("refused", fields.refused) };
		}
		case "unsubscribed":
		case "pong":
			return { t: fields.t, ref: readRef(fields.ref) };
		case "renewed":
			if (!Number.isFinite(fields.expiresAt)) throw invalid("expiresAt is in seconds");
			return { t: "renewed", ref: readRef(fields.ref), expiresAt: fields.expiresAt as number };
		case "entries":
			return { t: "entries", channel: channel(), entries: entries() };
		case "page": {
			const { verdict, more } = fields;
			if (verdict !== "whole" && verdict !== "retention" && verdict !== "epoch") throw invalid("unknown verdict");
			const ref = readRef(fields.ref);
			return { t: "page", ref, channel: channel(), entries: entries(), more: more === true, verdict };
		}
		case "moved":
			return { t: "moved", channel: channel() };
		case "end": {
			const reason = readText("reason", fields.reason) as EndReason;
			return { t: "end", reason: END_REASONS.includes(reason) ? reason : "gap" };
		}
		case "error": {
			const known = { code: readText("code", fields.code), message: readText("message", fields.message) };
			return fields.ref === undefined ? { t: "error", ...known } : { t: "error", ref: readRef(fields.ref), ...known };
		}
		default:
			throw invalid("unknown frame");
	}
}

const END_REASONS: readonly EndReason[] = ["gap", "expired", "slow-consumer", "shutdown"];
