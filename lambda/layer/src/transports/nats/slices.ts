/**
 * The parts of a regular check, each in its own slice of the time: what live entries wait for is one of them. A few go on
 * at a time, for servers that are busy are not to be asked for all at once; one that hangs, as a partition without a
 * leader does, holds up the next for `mostMs` and no longer. Resolves when all are over.
 */
import { type Clock, pause } from "../../core/clock.ts";

export interface Slices {
	readonly clock: Clock;
	/** From one to the next, at the least. */
	readonly sliceMs: number;
	readonly mostMs: number;
	/** At a time, while none hangs. */
	readonly workers: number;
	readonly stop: AbortSignal;
}

/** `task` does not reject. */
export async function inSlices<T>(
	items: readonly T[],
	{ clock, sliceMs, mostMs, workers, stop }: Slices,
	task: (item: T) => Promise<void>,
): Promise<void> {
	const waiting = [...items];
	const begun: Promise<void>[] = [];
	const work = async (): Promise<void> => {
		for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
			const one = task(next);
			begun.push(one);
			if (waiting.length === 0) return;
			await Promise.all([pause(clock, sliceMs, stop), Promise.race([one, pause(clock, mostMs, stop)])]);
		}
	};
	await Promise.all(Array.from({ length: workers }, work));
	await Promise.all(begun);
}
