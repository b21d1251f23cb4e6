/**
 * A position in a lane: (epoch, offset). The epoch is a 32-bit nonce kept with the log itself, eight lowercase
 * hex digits, so a log that lost its past has a new one. Offsets start at 1 and stay under 2^48.
 * `BEGINNING` is the end of a log that does not exist yet; as a place to read from, it means "all there ever was".
 */
import { FanoutError } from "./errors.ts";

export interface Position {
	readonly epoch: string;
	readonly offset: number;
}

export const NO_EPOCH = "00000000";
export const BEGINNING: Position = { epoch: NO_EPOCH, offset: 0 };
export const MAX_OFFSET = 2 ** 48 - 1;
const EPOCH = /^[0-9a-f]{8}$/;
const TEXT = /^([0-9a-f]{8})\.(0|[1-9][0-9]{0,14})$/;

/** A fresh epoch from a random 32-bit unsigned integer; never NO_EPOCH. */
export function epochOf(random: number): string {
	const epoch = (random >>> 0).toString(16).padStart(8, "0");
	return epoch === NO_EPOCH ? "00000001" : epoch;
}

export function isPosition(value: Position): boolean {
	return EPOCH.test(value.epoch) && Number.isInteger(value.offset) && value.offset >= 0 && value.offset <= MAX_OFFSET;
}

/** `epoch.offset`, decimal: how wires and logs spell a position. */
export function formatPosition(position: Position): string {
	return `${position.epoch}.${position.offset}`;
}

export function parsePosition(text: unknown): Position {
	const match = typeof text === "string" ? TEXT.exec(text) : null;
	if (match === null) throw new FanoutError("InvalidCursor", "a position is eight hex digits, a dot and an offset");
	const position = { epoch: match[1] as string, offset: Number(match[2]) };
	if (position.offset > MAX_OFFSET) throw new FanoutError("InvalidCursor", "an offset is under 2^48");
	return position;
}

/** The same epoch, and not after. */
export function isAtOrBefore(a: Position, b: Position): boolean {
	return a.epoch === b.epoch && a.offset <= b.offset;
}

export function samePosition(a: Position, b: Position): boolean {
	return a.epoch === b.epoch && a.offset === b.offset;
}
