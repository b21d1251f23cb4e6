/** What a consumer has taken, per channel, as one text: `epoch.offset`, and the region whose log that is a place in. */
import { FanoutError } from "../core/errors.ts";
import { formatPosition, type Position, parsePosition } from "../core/position.ts";

export interface Place {
	readonly position: Position;
	/** Absent where the cell did not say. */
	readonly region: string | undefined;
}

const formatPlace = ({ position, region }: Place): string =>
	formatPosition(position) + (region === undefined ? "" : `@${region}`);

function parsePlace(text: unknown): Place {
	const [position, region] = String(text).split("@");
	return { position: parsePosition(position), region };
}

export function encodeCursor(taken: ReadonlyMap<string, Place>): string {
	return JSON.stringify(Object.fromEntries([...taken].map(([channel, place]) => [channel, formatPlace(place)])));
}

/** Throws InvalidCursor. */
export function readCursor(text: string | undefined): Map<string, Place> {
	if (text === undefined) return new Map();
	try {
		return new Map(Object.entries(JSON.parse(text)).map(([channel, place]) => [channel, parsePlace(place)]));
	} catch (cause) {
		throw new FanoutError("InvalidCursor", "not a cursor of this client", { cause });
	}
}
