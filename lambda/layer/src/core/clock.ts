/**
 * The clock port: everything that waits or compares times takes one, so that tests own time.
 * `now` is wall time in milliseconds since 1970; `monotonic` never jumps and is for intervals.
 */
import { onAbort } from "./on-abort.ts";

export interface Timer {
	cancel(): void;
}

export interface Clock {
	now(): number;
	monotonic(): number;
	/** Runs `task` once after `ms`. Only a timer that somebody awaits may keep the process alive. */
	after(ms: number, task: () => void, keepsAlive?: boolean): Timer;
}

/** What a timer of Node's takes; it runs at once for more. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
	after(ms, task, keepsAlive = false) {
		const handle = setTimeout(task, Math.min(ms, MAX_TIMER_MS));
		if (!keepsAlive) handle.unref();
		return { cancel: () => clearTimeout(handle) };
	},
};

/** So often at the least is an answer looked for before its time is over. */
const LOOKS = 4;

/**
 * Runs `task` when an answer was waited for `ms`. A process that is held still, or has much to do at once, looks at
 * nothing meanwhile: of what goes by between two turns only a part counts, or it would take its own delay for silence.
 */
export function afterLooking(clock: Clock, ms: number, task: () => void, keepsAlive = false): Timer {
	let looks = 0;
	const look = (): void => {
		looks += 1;
		if (looks === LOOKS) task();
		else timer = clock.after(ms / LOOKS, look, keepsAlive);
	};
	let timer = clock.after(ms / LOOKS, look, keepsAlive);
	return { cancel: () => timer.cancel() };
}

/** Runs `task` at a wall time, which may be further away than a timer of Node's reaches; one that is past, at once. */
export function at(clock: Clock, atMs: number, task: () => void): Timer {
	let timer: Timer | undefined;
	const wait = (): void => {
		const leftMs = atMs - clock.now();
		if (leftMs <= 0) task();
		else timer = clock.after(Math.min(leftMs, MAX_TIMER_MS), wait);
	};
	wait();
	return { cancel: () => timer?.cancel() };
}

/** Resolves after `ms`, or at once when the signal aborts (the caller looks at the signal). */
export function pause(clock: Clock, ms: number, signal?: AbortSignal, keepsAlive = false): Promise<void> {
	return new Promise((resolve) => {
		if (signal?.aborted) return resolve();
		const done = () => {
			timer.cancel();
			forget?.();
			resolve();
		};
		const timer = clock.after(ms, done, keepsAlive);
		const forget = signal && onAbort(signal, done);
	});
}
