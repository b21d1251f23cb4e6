/** `[notification.routing]`, `[notification.breaker]` and `[notification.outbox]`. */
import { z } from "zod";
import { MAX_CONDITION_DEPTH, MAX_CONDITIONS, MAX_PATTERN_LENGTH } from "../../../route/condition.ts";
import {
	BREAKER_BOUNDS,
	type BreakerOptions,
	DEFAULT_BREAKER,
	DEFAULT_OUTBOX,
	OUTBOX_BOUNDS,
	type OutboxOptions,
} from "../../../route/options.ts";
import { duration, flag, integer, json, share, text } from "../field.ts";
import type { Values } from "../section.ts";

const pattern = z.string().min(1).max(MAX_PATTERN_LENGTH);

export type FileCondition =
	| "always"
	| { readonly type: string }
	| { readonly session_pattern: string }
	| { readonly session_count: number }
	| { readonly all: readonly FileCondition[] }
	| { readonly any: readonly FileCondition[] }
	| { readonly not: FileCondition };

/** One key of a condition each; the shapes stand for themselves in JSON Schema. */
const conditionKeys = {
	type: pattern.meta({ description: "The notification's method; * is any run of characters." }),
	session_pattern: pattern.meta({ description: "The session's id; * is any run of characters." }),
	session_count: z.int().min(0).meta({ description: "From so many sessions of this process on." }),
} as const;

const conditions = z
	.array(z.lazy((): z.ZodType<FileCondition> => condition))
	.min(1)
	.max(MAX_CONDITIONS);

export const condition: z.ZodType<FileCondition> = z
	.union([
		z.literal("always"),
		z.strictObject({ type: conditionKeys.type }),
		z.strictObject({ session_pattern: conditionKeys.session_pattern }),
		z.strictObject({ session_count: conditionKeys.session_count }),
		z.strictObject({ all: conditions }),
		z.strictObject({ any: conditions }),
		z.strictObject({ not: z.lazy((): z.ZodType<FileCondition> => condition) }),
	])
	.meta({
		id: "condition",
		description: `"always", or exactly one of the keys; nested at most ${MAX_CONDITION_DEPTH} deep.`,
	});

export const TRANSPORT_NAMES = ["local", "nats", "redis", "aws"] as const;

export const rule = z.strictObject({
	condition,
	targets: z
		.array(z.enum(TRANSPORT_NAMES))
		.min(1)
		.meta({ description: "The transports that a matching notification goes to; one that is not enabled is skipped." }),
	continue_on_match: flag("The rules behind this one are asked too, and add their targets.", false),
});

export const routingShape = {
	rules: json(
		z.array(rule).max(MAX_CONDITIONS),
		"a list of { condition, targets, continue_on_match }",
		"Asked in order; the first that matches decides. Where none matches: every enabled transport, by priority.",
	),
};

export const breakerShape = {
	consecutive_failures: integer(
		"So many failed calls in a row open a target's breaker.",
		DEFAULT_BREAKER.consecutiveFailures,
		...BREAKER_BOUNDS.consecutiveFailures,
	),
	window: duration("The success rate is watched over this long.", DEFAULT_BREAKER.windowMs, BREAKER_BOUNDS.windowMs),
	min_calls: integer(
		"Calls in the window before the rate says anything.",
		DEFAULT_BREAKER.minCalls,
		...BREAKER_BOUNDS.minCalls,
	),
	usual_share: share(
		"A rate that is certainly under this share of the usual one opens the breaker.",
		DEFAULT_BREAKER.usualShare,
	),
	open: duration(
		"Pause before the first probe; twice as long after each that fails.",
		DEFAULT_BREAKER.openMs,
		BREAKER_BOUNDS.openMs,
	),
	max_open: duration("The longest pause.", DEFAULT_BREAKER.maxOpenMs, BREAKER_BOUNDS.maxOpenMs),
	jitter: share("Share of a pause that is drawn at random.", DEFAULT_BREAKER.jitter),
};

export function breakerOptions(values: Values<typeof breakerShape>): Partial<BreakerOptions> {
	return given({
		consecutiveFailures: values.consecutive_failures,
		windowMs: values.window,
		minCalls: values.min_calls,
		usualShare: values.usual_share,
		openMs: values.open,
		maxOpenMs: values.max_open,
		jitter: values.jitter,
	});
}

export const outboxShape = {
	max_envelopes: integer(
		"Envelopes kept for one target that refuses; 0 keeps none.",
		DEFAULT_OUTBOX.maxEnvelopes,
		...OUTBOX_BOUNDS.maxEnvelopes,
	),
	max_bytes: integer("Encoded bytes kept for it.", DEFAULT_OUTBOX.maxBytes, ...OUTBOX_BOUNDS.maxBytes),
	max_age: duration("What is older is dropped, counted and told.", DEFAULT_OUTBOX.maxAgeMs, OUTBOX_BOUNDS.maxAgeMs),
	file: text(
		"A SQLite file that keeps it across a crash and a restart; of one process at a time.",
		"a path",
		/^[^\0]+$/,
	),
};

export function outboxOptions(values: Values<typeof outboxShape>): Partial<OutboxOptions> {
	return given({
		maxEnvelopes: values.max_envelopes,
		maxBytes: values.max_bytes,
		maxAgeMs: values.max_age,
		file: values.file,
	});
}

/** Without what is absent: a default is spread under it. */
function given<T extends Record<string, unknown>>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
	const entries = Object.entries(values).filter(([, value]) => value !== undefined);
	return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
