/**
 * Ends many streams at a jittered pace: each gets its own random moment in its own slice of the time, in random order,
 * so that their clients do not all come back to the next instance at once.
 */
import type { Clock, Timer } from "../core/clock.ts";
import type { Ids } from "../core/ids.ts";

export interface Pace {
	readonly spreadMs: number;
	readonly clock: Clock;
	readonly ids: Ids;
}

/** More steps than this would be more timers than smoothness is worth. */
const MAX_STEPS = 200;

function shuffle<T>(items: T[], ids: Ids): T[] {
	for (let i = items.length - 1; i > 0; i -= 1) {
		const other = ids.random32() % (i + 1);
		const item = items[i] as T;
		items[i] = items[other] as T;
		items[other] = item;
	}
	return items;
}

/** Calls `each` on every item within `spreadMs`; the returned function stops it. One timer at a time. */
export function paceOut<T>(items: Iterable<T>, pace: Pace, each: (item: T) => void): () => void {
	const { spreadMs, clock, ids } = pace;
	const order = shuffle([...items], ids);
	const steps = spreadMs > 0 ? Math.min(order.length, MAX_STEPS) : 1;
	const startedAt = clock.monotonic();
	let timer: Timer | undefined;
	let done = 0;
	const step = (number: number): void => {
		const until = Math.ceil((order.length * (number + 1)) / steps);
		while (done < until) {
			const item = order[done] as T;
			done += 1;
			each(item);
		}
		if (number + 1 < steps) wait(number + 1);
	};
	const wait = (number: number): void => {
		const at = ((number + ids.random32() / 2 ** 32) * spreadMs) / steps;
		timer = clock.after(Math.max(0, at - (clock.monotonic() - startedAt)), () => step(number));
	};
	if (order.length === 0) return () => {};
	if (spreadMs > 0) wait(0);
	else step(0);
	return () => timer?.cancel();
}
