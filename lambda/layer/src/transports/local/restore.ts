/** Puts what a store kept back on the shelf, under today's bounds. */
import { type Channel, parseChannel } from "../../core/channel.ts";
import { decodeEnvelope, packEnvelope } from "../../core/envelope.ts";
import { asFanoutError, type FanoutError } from "../../core/errors.ts";
import type { Kept } from "./log.ts";
import type { Shelf } from "./shelf.ts";
import type { Snapshot, StoredEvent } from "./store.ts";

function toKept({ offset, id, at, text }: StoredEvent, report: (error: FanoutError) => void): Kept {
	const place = { offset, id, at, bytes: Buffer.byteLength(text) };
	try {
		return { ...place, packed: packEnvelope(decodeEnvelope(text)) };
	} catch (cause) {
		// The place stays in the log, so that streams are told `gap` and everything after it goes on.
		report(asFanoutError(cause, "InvalidEnvelope", "a stored envelope cannot be read"));
		return { ...place, packed: undefined };
	}
}

/** Undefined for one that a later release wrote: nobody can ask for it here. */
function channelOf(key: string, report: (error: FanoutError) => void): Channel | undefined {
	try {
		return parseChannel(key);
	} catch (cause) {
		report(asFanoutError(cause, "InvalidChannel", "a stored log is of no channel"));
		return undefined;
	}
}

export function restore(shelf: Shelf, snapshot: Snapshot, report: (error: FanoutError) => void): void {
	for (const stored of snapshot.logs) {
		const channel = channelOf(stored.key, report);
		if (channel === undefined) continue;
		const log = shelf.open(channel);
		log.base = stored.base;
		log.baseAt = stored.baseAt;
		for (const event of stored.events) shelf.append(log, toKept(event, report));
	}
}
