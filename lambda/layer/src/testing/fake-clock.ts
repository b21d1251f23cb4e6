/** A clock that tests own: time moves only by `advance`, and everything due runs in order with promises settled between. */
import type { Clock } from "../core/clock.ts";
import { nextTurn } from "../core/next-turn.ts";

export interface FakeClock extends Clock {
	/** Moves time on and runs what comes due, letting promises settle before each step and at the end. */
	advance(ms: number): Promise<void>;
	/** Lets promises settle without moving time. */
	settle(): Promise<void>;
	/** Timers that wait; 0 after a clean close (P9). */
	readonly waiting: number;
}

export function createFakeClock(startMs = 1_800_000_000_000): FakeClock {
	let elapsed = 0;
	let sequence = 0;
	const timers = new Map<number, { readonly at: number; readonly task: () => void }>();
	const settle = async () => {
		for (let turn = 0; turn < 3; turn += 1) await new Promise<void>((resolve) => nextTurn(resolve));
	};
	const nextDue = (until: number): number | undefined => {
		let best: number | undefined;
		for (const [id, { at }] of timers) {
			if (at <= until && (best === undefined || at < (timers.get(best)?.at ?? 0))) best = id;
		}
		return best;
	};
	return {
		now: () => startMs + elapsed,
		monotonic: () => elapsed,
		after(ms, task) {
			const id = sequence++;
			timers.set(id, { at: elapsed + Math.max(0, ms), task });
			return { cancel: () => timers.delete(id) };
		},
		settle,
		async advance(ms) {
			const until = elapsed + ms;
			await settle();
			for (let due = nextDue(until); due !== undefined; due = nextDue(until)) {
				const timer = timers.get(due);
				timers.delete(due);
				elapsed = Math.max(elapsed, timer?.at ?? elapsed);
				timer?.task();
				await settle();
			}
			elapsed = until;
		},
		get waiting() {
			return timers.size;
		},
	};
}
