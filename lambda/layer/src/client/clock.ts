/** Timers of browsers and Node alike; unlike the server's clock they may keep a process alive that waits to reconnect. */
import type { Clock } from "../core/clock.ts";

export const clientClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	after(ms, task) {
		const handle = setTimeout(task, ms);
		return { cancel: () => clearTimeout(handle) };
	},
};
