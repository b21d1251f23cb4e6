/** A small seeded generator (mulberry32): the same seed, the same run. The seed comes from FANOUT_SEED, else is fixed. */
export interface Random {
	readonly seed: number;
	/** In [0, 1). */
	next(): number;
	/** An integer in [0, below). */
	below(below: number): number;
	pick<T>(items: readonly T[]): T;
}

export const DEFAULT_SEED = 20_261_124;

export function seedFromEnv(): number {
	const text = process.env.FANOUT_SEED;
	const seed = text === undefined || text === "" ? DEFAULT_SEED : Number(text);
	if (!Number.isSafeInteger(seed) || seed < 0) throw new Error("FANOUT_SEED must be a non-negative integer");
	return seed;
}

export function createRandom(seed: number): Random {
	let state = seed >>> 0;
	const next = () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
	const below = (limit: number) => Math.floor(next() * limit);
	return {
		seed,
		next,
		below,
		pick: (items) => {
			if (items.length === 0) throw new Error("nothing to pick from");
			return items[below(items.length)] as (typeof items)[number];
		},
	};
}

/** The run's seed, printed with the name of who draws from it, so that a failure can be replayed. */
export function announcedSeed(name: string): number {
	const seed = seedFromEnv();
	console.log(`seed of ${name}: ${seed} (FANOUT_SEED)`);
	return seed;
}
