/** Seeded randomness for tests: the same seed, the same run. FANOUT_SEED overrides, so a failure replays. */
export interface Seeded {
	readonly seed: number;
	/** Uniform in [0, 1). */
	next(): number;
	/** Uniform integer in [0, below). */
	below(below: number): number;
	pick<T>(values: readonly T[]): T;
}

/** mulberry32, public domain. */
export function seeded(seed: number): Seeded {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (limit: number) => Math.floor(next() * limit);
	return { seed, next, below, pick: (values) => values[below(values.length)] as (typeof values)[number] };
}

/** The run's seed: FANOUT_SEED, or a fixed one per test file so that CI is the same every time. */
export function seedFor(name: string): number {
	const given = process.env.FANOUT_SEED;
	const seed =
		given === undefined ? [...name].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) >>> 0, 7) : Number(given);
	console.log(`seed of ${name}: ${seed}`);
	return seed;
}
