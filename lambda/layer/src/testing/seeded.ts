/** Randomness that a printed seed repeats: mulberry32, good enough for tests and for nothing else. */
import type { RandomFill } from "../core/ids.ts";

/** Unsigned 32-bit integers. */
export function createRandom(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return (mixed ^ (mixed >>> 14)) >>> 0;
	};
}

/** For `createIds`: the same ids in every run of one seed. */
export function createFill(seed: number): RandomFill {
	const random = createRandom(seed);
	return (buffer) => {
		for (let index = 0; index < buffer.length; index += 1) buffer[index] = random() & 0xff;
	};
}
