/** How long a row is kept after its last write: long enough that no clock's error matters, and owners touch in time. */
import { FanoutError } from "../core/errors.ts";

export const DEFAULT_RETENTION_MS = 24 * 60 * 60 * 1000;
export const MIN_RETENTION_MS = 60_000;

export function checkRetention(retentionMs: number): number {
	if (Number.isSafeInteger(retentionMs) && retentionMs >= MIN_RETENTION_MS) return retentionMs;
	throw new FanoutError("ConfigInvalid", `retentionMs must be an integer of at least ${MIN_RETENTION_MS}`, {
		data: { retentionMs, minRetentionMs: MIN_RETENTION_MS },
	});
}
