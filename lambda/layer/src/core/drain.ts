/** How an instance goes away: a notice in which everything goes on, then the rest of the grace. */
import { type Clock, pause } from "./clock.ts";

export interface DrainRequest {
	readonly graceMs: number;
	/** How long everything goes on as before, except that `health().ready` is false: balancers see it first. Default 0. */
	readonly noticeMs?: number;
}

/** Waits while everything goes on; what is left of the grace then. */
export async function giveNotice({ graceMs, noticeMs = 0 }: DrainRequest, clock: Clock): Promise<number> {
	const notice = Math.min(noticeMs, graceMs);
	if (notice > 0) await pause(clock, notice, undefined, true);
	return graceMs - notice;
}
