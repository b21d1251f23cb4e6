/** What a consumer has taken, per channel, as one text. */
import { FanoutError } from "../core/errors.ts";
import { formatPosition, type Position, parsePosition } from "../core/position.ts";

export function encodeCursor(taken: ReadonlyMap<string, Position>): string {
	return JSON.stringify(
		Object.fromEntries([...taken].map(([channel, position]) => [channel, formatPosition(position)])),
	);
}

/** Throws InvalidCursor. */
export function readCursor(text: string | undefined): Map<string, Position> {
	if (text === undefined) return new Map();
	try {
		return new Map(Object.entries(JSON.parse(text)).map(([channel, position]) => [channel, parsePosition(position)]));
	} catch (cause) {
		throw new FanoutError("InvalidCursor", "not a cursor of this client", { cause });
	}
}
