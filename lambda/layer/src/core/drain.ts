/** How an instance goes away: a notice in which everything goes on, then the rest of the grace. */
import { type Clock, MAX_TIMER_MS, pause } from "./clock.ts";
import { checkRanges } from "./ranges.ts";

export interface DrainRequest {
	readonly graceMs: number;
	/** How long everything goes on as before, except that `health().ready` is false: balancers see it first. Default 0. */
	readonly noticeMs?: number;
}

/** What types would have refused, before anything goes away. Throws ConfigInvalid. */
export function checkDrain(how: DrainRequest): DrainRequest {
	const range = [0, MAX_TIMER_MS] as const;
	checkRanges("drain", { ...how, graceMs: how?.graceMs ?? Number.NaN }, { graceMs: range, noticeMs: range });
	return how;
}

/** Waits while everything goes on; what is left of the grace then. */
export async function giveNotice(how: DrainRequest, clock: Clock): Promise<number> {
	const { graceMs, noticeMs = 0 } = checkDrain(how);
	const notice = Math.min(noticeMs, graceMs);
	if (notice > 0) await pause(clock, notice, undefined, true);
	return graceMs - notice;
}
