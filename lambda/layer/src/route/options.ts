/**
 * What routing, breakers and outboxes can be told, their defaults and their bounds. Nothing of what is configured is
 * loaded by it. Times are in milliseconds.
 */
import { MAX_TIMER_MS } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { checkRanges, type Range } from "../core/ranges.ts";

/**
 * `type` and `sessionPattern` are globs: `*` is any run of characters, all else itself. `sessionPattern` is true of
 * session channels only; `sessionCount` from so many sessions with open client streams in this process on.
 */
export type Condition =
	| "always"
	| { readonly type: string }
	| { readonly sessionPattern: string }
	| { readonly sessionCount: number }
	| { readonly all: readonly Condition[] }
	| { readonly any: readonly Condition[] }
	| { readonly not: Condition };

export interface RoutingRule {
	readonly condition: Condition;
	/** Names of transports: the lanes that an envelope enters, in order. */
	readonly targets: readonly string[];
	/** The rules behind this one are asked too, and what they say is added. */
	readonly continueOnMatch?: boolean | undefined;
}

export interface RoutingOptions {
	readonly rules: readonly RoutingRule[];
}

/** `local`: while a lane refuses, this process's client streams get early copies of what is queued for it. */
export type FallbackStrategy = "local" | "none";
export const DEFAULT_FALLBACK: FallbackStrategy = "local";

/** A transport's place among the others; part of each transport's options. */
export interface TransportRole {
	/** Default true. One that is not is neither started nor followed, and rules skip it. */
	readonly enabled?: boolean | undefined;
	/** Lower is earlier where no rule matches. Default: as in DEFAULT_PRIORITY, others after them. */
	readonly priority?: number | undefined;
}

export const DEFAULT_PRIORITY: Readonly<Record<string, number>> = { local: 1, nats: 2, redis: 3, aws: 4 };
export const OTHER_PRIORITY = 100;

export interface BreakerOptions {
	/** So many failed calls in a row open the breaker. */
	readonly consecutiveFailures: number;
	/** The success rate is watched over this long, from this many calls on. */
	readonly windowMs: number;
	readonly minCalls: number;
	/** A rate that is certainly under this share of the target's usual rate opens the breaker. In (0, 1). */
	readonly usualShare: number;
	/** Open for this long before the first probe, for twice as long after each failed probe, at most `maxOpenMs`. */
	readonly openMs: number;
	readonly maxOpenMs: number;
	/** Share of a pause that is drawn at random, so that a fleet does not probe at once. In [0, 1]. */
	readonly jitter: number;
}

export const DEFAULT_BREAKER: BreakerOptions = {
	consecutiveFailures: 5,
	windowMs: 10_000,
	minCalls: 20,
	usualShare: 0.5,
	openMs: 30_000,
	maxOpenMs: 300_000,
	jitter: 0.2,
};

export interface OutboxOptions {
	/** Envelopes and encoded bytes kept for one lane, over all of its channels; 0 envelopes keeps none. */
	readonly maxEnvelopes: number;
	readonly maxBytes: number;
	/** What is older is dropped, counted and told. */
	readonly maxAgeMs: number;
	/** A SQLite file that keeps it across a crash and a restart; of one process at a time. */
	readonly file?: string | undefined;
}

export const DEFAULT_OUTBOX: OutboxOptions = {
	maxEnvelopes: 100_000,
	maxBytes: 64 * 1024 * 1024,
	maxAgeMs: 600_000,
};

export const BREAKER_BOUNDS: Readonly<Record<keyof BreakerOptions, Range>> = {
	consecutiveFailures: [1, 1_000_000],
	windowMs: [100, MAX_TIMER_MS],
	minCalls: [1, 1_000_000],
	usualShare: [0, 1],
	openMs: [1, MAX_TIMER_MS],
	maxOpenMs: [1, MAX_TIMER_MS],
	jitter: [0, 1],
};
export const OUTBOX_BOUNDS: Readonly<Record<Exclude<keyof OutboxOptions, "file">, Range>> = {
	maxEnvelopes: [0, 10_000_000],
	maxBytes: [0, 2 ** 34],
	maxAgeMs: [1, MAX_TIMER_MS],
};

/** Throws ConfigInvalid. */
export function checkBreaker(given: Partial<BreakerOptions> | undefined): Partial<BreakerOptions> | undefined {
	return checkRanges("breaker", given, BREAKER_BOUNDS);
}

/** Throws ConfigInvalid. */
export function checkOutbox(given: Partial<OutboxOptions> | undefined): Partial<OutboxOptions> | undefined {
	const { file, ...bounded } = given ?? {};
	const checked = given === undefined ? undefined : checkRanges("outbox", bounded, OUTBOX_BOUNDS);
	if (file === undefined) return checked;
	if (typeof file === "string" && file !== "" && !file.includes("\0")) return { ...checked, file };
	throw new FanoutError("ConfigInvalid", `outbox.file must be a path, not ${JSON.stringify(file)}`);
}
