/**
 * A token bucket for one target's retries, over all of its channels: a target that fails everyone is not asked again
 * by everyone at once. A retry without a token waits for its own, and takes none that would come too late for it.
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

	/** How long until the next token is there. It is taken when that is within what its retry can wait. */
	takeMs(withinMs: number): number {
		const now = this.#clock.monotonic();
		const { burst, perSecond } = this.#limits;
		this.#tokens = Math.min(burst, this.#tokens + ((now - this.#at) * perSecond) / 1_000);
		this.#at = now;
		const waitMs = Math.max(0, ((1 - this.#tokens) * 1_000) / perSecond);
		if (waitMs <= withinMs) this.#tokens -= 1;
		return waitMs;
	}
}
