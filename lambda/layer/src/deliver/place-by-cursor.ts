/** Puts a stream's tracks where its client's cursor says, and says what has to be told. */
import { type Cursor, decodeCursor, laneKey } from "../core/cursor.ts";
import { asFanoutError } from "../core/errors.ts";
import { BEGINNING, NO_EPOCH } from "../core/position.ts";
import type { Loss, Track, TrackHost } from "./track.ts";

/** `late`: those whose lanes are not open, and have no end to begin at where the cursor names no place. */
export function placeByCursor(
	text: string,
	tracks: readonly Track[],
	late: ReadonlySet<Track>,
	host: Pick<TrackHost, "clock" | "report">,
): Loss | undefined {
	let cursor: Cursor;
	let told: Loss | undefined;
	try {
		cursor = decodeCursor(text);
	} catch (error) {
		host.report(asFanoutError(error, "InvalidCursor", "a cursor could not be read"));
		cursor = new Map();
		told = "gap";
	}
	let used = 0;
	for (const track of tracks) {
		const found = cursor.get(laneKey(track.lane.cursorPart.tag, track.engine.place));
		if (found === undefined) {
			told = "gap";
			if (!late.has(track)) track.position = track.lane.seen;
			continue;
		}
		used += 1;
		track.position = found;
		if (found.epoch === NO_EPOCH) {
			track.position = BEGINNING;
			track.emptySince = found;
			const emptyAtMs = found.offset * 1000;
			if (host.clock.now() - emptyAtMs > track.engine.transport.capabilities.retentionMs) told ??= "retention";
		}
	}
	return used < cursor.size ? "gap" : told;
}
