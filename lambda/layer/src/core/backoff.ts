/** Full jitter: uniform in [0, min(cap, base × 2^attempt)). Source: AWS Architecture Blog, "Exponential Backoff and Jitter". */
export interface BackoffLimits {
	readonly baseMs: number;
	readonly capMs: number;
}

export function fullJitter(attempt: number, limits: BackoffLimits, random: () => number): number {
	return random() * Math.min(limits.capMs, limits.baseMs * 2 ** Math.min(attempt, 30));
}
