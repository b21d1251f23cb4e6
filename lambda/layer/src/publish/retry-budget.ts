/**
 * A token bucket for one target's retries, over all of its channels: a target that fails everyone is not asked again
 * by everyone at once. A retry without a token waits for its own.
 */
import type { Clock } from "../core/clock.ts";

export const DEFAULT_RETRY_BUDGET = { burst: 100, perSecond: 50 } as const;

export class RetryBudget {
	readonly #clock: Clock;
	readonly #limits: { readonly burst: number; readonly perSecond: number };
	#tokens: number;
	#at: number;

	constructor(clock: Clock, limits: { readonly burst: number; readonly perSecond: number } = DEFAULT_RETRY_BUDGET) {
		this.#clock = clock;
		this.#limits = limits;
		this.#tokens = limits.burst;
		this.#at = clock.monotonic();
	}

	/** Takes the next token; how long until it is there. */
	takeMs(): number {
		const now = this.#clock.monotonic();
		const { burst, perSecond } = this.#limits;
		this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * perSecond) / 1_000) - 1;
		this.#at = now;
		return this.#tokens >= 0 ? 0 : (-this.#tokens * 1_000) / perSecond;
	}
}
