/**
 * The cursor: what one client stream has seen, as the SSE `id`. A version digit, then 24 characters for every lane
 * the stream follows: base64url of tag (6 bytes), place (2), epoch (4), offset (6). Tag and place are hashes, so a
 * cursor names no channel and can select none: it is only looked up by lanes that are already authorised.
 * A lane whose log did not exist yet is listed with NO_EPOCH and the time in seconds as its offset.
 */
import { hash } from "node:crypto";
import type { Channel } from "./channel.ts";
import { FanoutError } from "./errors.ts";
import { NO_EPOCH, type Position } from "./position.ts";

/** A session's GET follows four channels, and there are four transports. */
export const MAX_LANES = 16;
/** A cursor of no lanes; each lane appends its characters. */
export const NO_LANES = "1";
const LANE_CHARS = 24;
const FORM = /^1(?:[A-Za-z0-9_-]{24}){0,16}$/;

/** Positions by `laneKey`: one channel on two transports is two lanes, of one tag at two places. */
export type Cursor = ReadonlyMap<string, Position>;

/** The one-shot hash: a Hash object has native memory that stays until the collector comes by. */
function sha256(text: string, bytes: number): string {
	return hash("sha256", text, "hex").slice(0, 2 * bytes);
}

/** The channel's 6-byte tag, hex: over namespace, tenant, kind and id. */
export function laneTag(channel: Channel): string {
	return sha256(channel.key, 6);
}

/** The 2-byte place of a transport's log, from `transport/region` or `transport/instance`. */
export function placeCode(place: string): number {
	return Number.parseInt(sha256(place, 2), 16);
}

export function laneKey(tag: string, place: number): string {
	return tag + place.toString(16).padStart(4, "0");
}

/** The first 16 of a lane's 24 characters: they change with the epoch only. */
export function laneHead(tag: string, place: number, epoch: string): string {
	const bytes = Buffer.allocUnsafe(12);
	bytes.write(tag, 0, 6, "hex");
	bytes.writeUInt16BE(place, 6);
	bytes.write(epoch, 8, 4, "hex");
	return bytes.toString("base64url");
}

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The last 8: six bytes are eight whole characters, so no byte is shared with the head. */
export function laneOffset(offset: number): string {
	const high = Math.floor(offset / 2 ** 24);
	return (high === 0 ? "AAAA" : fourChars(high)) + fourChars(offset - high * 2 ** 24);
}

function fourChars(bits: number): string {
	const char = (shift: number) => BASE64URL.charAt((bits >>> shift) & 63);
	return char(18) + char(12) + char(6) + char(0);
}

/** One lane's 24 characters. */
export function encodeLane(tag: string, place: number, { epoch, offset }: Position): string {
	return laneHead(tag, place, epoch) + laneOffset(offset);
}

/** What an empty lane's entry says: nothing was there at `nowMs`. */
export function emptySince(nowMs: number): Position {
	return { epoch: NO_EPOCH, offset: Math.max(0, Math.floor(nowMs / 1000)) };
}

/** Reads a cursor from outside; throws InvalidCursor. */
export function decodeCursor(text: unknown): Cursor {
	if (typeof text !== "string" || text.length > 1 + MAX_LANES * LANE_CHARS || !FORM.test(text)) {
		throw new FanoutError("InvalidCursor", "not a cursor of this version");
	}
	const lanes = new Map<string, Position>();
	for (let at = 1; at < text.length; at += LANE_CHARS) {
		const bytes = Buffer.from(text.slice(at, at + LANE_CHARS), "base64url");
		const offset = bytes.readUIntBE(12, 6);
		lanes.set(bytes.toString("hex", 0, 8), { epoch: bytes.toString("hex", 8, 12), offset });
	}
	return lanes;
}
