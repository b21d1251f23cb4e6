/**
 * When a breaker opens: so many failures in a row, or a success rate that fell under a threshold which adapts to the
 * target. The threshold is a share of the rate that is usual for it (a moving average over the windows before), and
 * the rate must be under it with confidence (the upper bound of Wilson's interval), so that few calls prove little and
 * many calls little less than the threshold. Source: E. B. Wilson, JASA 22 (1927), 209–212.
 */
import type { CircuitState, IBreaker } from "cockatiel";
import type { Clock } from "../core/clock.ts";
import type { BreakerOptions } from "./options.ts";

/** 1.96 standard deviations: wrong once in 40. */
const Z = 1.96;
/** How much the window that has just ended counts in the usual rate. */
const NEWEST_SHARE = 0.2;
/** The window moves on in this many steps. */
const SLICES = 5;

export function upperBound(successes: number, calls: number): number {
	if (calls === 0) return 1;
	const rate = successes / calls;
	const z2 = (Z * Z) / calls;
	return (rate + z2 / 2 + Z * Math.sqrt((rate * (1 - rate)) / calls + z2 / (4 * calls))) / (1 + z2);
}

interface Slice {
	readonly number: number;
	successes: number;
	calls: number;
}

export class Trip implements IBreaker {
	readonly #clock: Clock;
	readonly #options: BreakerOptions;
	#slices: Slice[] = [];
	/** What the slices are parts of. */
	#windowMs = 0;
	#inRow = 0;
	#usual = 1;
	#isUnproven = false;

	/** Options are read at each use: they may be changed meanwhile. */
	constructor(clock: Clock, options: BreakerOptions) {
		this.#clock = clock;
		this.#options = options;
	}

	/** Closed again by a call that says nothing about the target: its next failure opens at once. */
	closedUnproven(): void {
		this.#isUnproven = true;
	}

	success(state: CircuitState): void {
		this.#inRow = 0;
		// A probe begins a new count: what lies before it was another time.
		if (state !== 0) this.#slices = [];
		else this.#isUnproven = false;
		if (!this.#isUnproven) this.#count(true);
	}

	failure(state: CircuitState): boolean {
		this.#inRow += 1;
		this.#count(false);
		const isUnproven = this.#isUnproven;
		this.#isUnproven = false;
		if (state !== 0) return true;
		if (isUnproven || this.#inRow >= this.#options.consecutiveFailures) return true;
		let calls = 0;
		let successes = 0;
		for (const slice of this.#slices) {
			calls += slice.calls;
			successes += slice.successes;
		}
		return calls >= this.#options.minCalls && upperBound(successes, calls) < this.#usual * this.#options.usualShare;
	}

	/** Not serialised: a process starts with its breakers closed. */
	get state(): unknown {
		return undefined;
	}

	set state(_state: unknown) {
		this.#slices = [];
	}

	#count(isSuccess: boolean): void {
		const { windowMs } = this.#options;
		// Numbers of another window's slices mean nothing in this one.
		if (windowMs !== this.#windowMs) this.#slices = [];
		this.#windowMs = windowMs;
		const number = Math.floor((this.#clock.monotonic() * SLICES) / windowMs);
		let slice = this.#slices.at(-1);
		if (slice?.number !== number) {
			slice = { number, successes: 0, calls: 0 };
			this.#slices.push(slice);
			for (let oldest = this.#slices[0]; oldest && oldest.number <= number - SLICES; oldest = this.#slices[0]) {
				this.#slices.shift();
				if (oldest.calls > 0) this.#usual += ((oldest.successes / oldest.calls - this.#usual) * NEWEST_SHARE) / SLICES;
			}
		}
		slice.calls += 1;
		if (isSuccess) slice.successes += 1;
	}
}
