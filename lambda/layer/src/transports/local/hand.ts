/** Hands a log's new entries to the live subscriber of its channel. */
import { asFanoutError } from "../../core/errors.ts";
import type { Entry, TransportEvent } from "../../core/transport.ts";
import type { Log } from "./log.ts";

/** One at a time, in order, even when a subscriber publishes to its own channel from inside `entry`. */
export function hand(log: Log, entries: readonly Entry[], report: (event: TransportEvent) => void): void {
	if (log.subscriber === undefined) return;
	if (log.waiting !== undefined) {
		log.waiting.push(...entries);
		return;
	}
	log.waiting = [];
	for (let next = entries; next.length > 0; next = log.waiting.splice(0)) {
		for (const entry of next) {
			try {
				log.subscriber?.entry(entry);
			} catch (cause) {
				report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "a subscriber failed") });
			}
		}
	}
	log.waiting = undefined;
}
