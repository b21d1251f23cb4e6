/**
 * Lets come what is under way, for tests of what shall not come or has no sign of its own. In steps: a process that was
 * held still for all of one wait has looked at nothing meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";

const STEP_MS = 2;

export async function settle(ms = 30): Promise<void> {
	for (let left = ms; left > 0; left -= STEP_MS) await sleep(Math.min(left, STEP_MS));
}
