/**
 * A clock that stands still until it is told to move: tasks run inside `advance`, in the order of their times.
 * Tests own time with it; nothing in them waits.
 */
import type { Clock } from "../core/clock.ts";

export interface ManualClock extends Clock {
	/** Moves time on, running what falls due on the way. */
	advance(ms: number): void;
	/** The same, but lets promises settle before and after every task: for code that awaits between timers. */
	run(ms: number): Promise<void>;
	/** Moves the wall clock alone, as a time server does; `monotonic` and timers do not notice. */
	setWall(nowMs: number): void;
	/** Timers that have not run and were not cancelled. */
	readonly pending: number;
}

interface Due {
	readonly at: number;
	readonly order: number;
	readonly task: () => void;
}

const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createManualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
	let elapsed = 0;
	let wall = startMs;
	let order = 0;
	const due = new Set<Due>();

	const takeNext = (until: number): Due | undefined => {
		let next: Due | undefined;
		for (const timer of due) {
			if (timer.at > until) continue;
			if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) next = timer;
		}
		if (next !== undefined) due.delete(next);
		return next;
	};

	const moveTo = (at: number) => {
		if (at <= elapsed) return;
		wall += at - elapsed;
		elapsed = at;
	};

	return {
		now: () => wall,
		monotonic: () => elapsed,
		after(ms, task) {
			const timer: Due = { at: elapsed + Math.max(0, ms), order: order++, task };
			due.add(timer);
			return { cancel: () => void due.delete(timer) };
		},
		advance(ms) {
			const until = elapsed + ms;
			for (let next = takeNext(until); next !== undefined; next = takeNext(until)) {
				moveTo(next.at);
				next.task();
			}
			moveTo(until);
		},
		async run(ms) {
			const until = elapsed + ms;
			await settle();
			for (let next = takeNext(until); next !== undefined; next = takeNext(until)) {
				moveTo(next.at);
				next.task();
				await settle();
			}
			moveTo(until);
			await settle();
		},
		setWall(nowMs) {
			wall = nowMs;
		},
		get pending() {
			return due.size;
		},
	};
}
