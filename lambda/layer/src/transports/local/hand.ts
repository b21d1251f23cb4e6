/** Hands what is new in a log to the live subscriber of its channel. */
import { asFanoutError } from "../../core/errors.ts";
import type { TransportEvent } from "../../core/transport.ts";
import type { Log, Taken } from "./log.ts";

const NONE: readonly Taken[] = [];

/** One at a time, in order, even when a subscriber publishes to its own channel from inside `entry`. */
export function hand(log: Log, batch: readonly Taken[], report: (event: TransportEvent) => void): void {
	if (log.subscriber === undefined) return;
	if (log.waiting !== undefined) {
		log.waiting = log.waiting.concat(batch);
		return;
	}
	for (let next = batch; next.length > 0; next = log.waiting) {
		log.waiting = NONE;
		for (const { fresh } of next) {
			if (fresh === undefined) continue;
			try {
				log.subscriber?.entry(fresh.entry);
			} catch (cause) {
				report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "a subscriber failed") });
			}
		}
	}
	log.waiting = undefined;
}
