/**
 * The kinds of keys that a configuration has. A field is a zod type for JSON Schema and checks, and what an error, the
 * environment and the documentation say about it.
 */
import { z } from "zod";
import { MAX_CHANNEL_PART_BYTES } from "../../core/channel.ts";
import type { Range } from "../../core/ranges.ts";

export interface FieldInfo {
	/** How a variable's text becomes a value. */
	readonly kind: "text" | "integer" | "number" | "flag" | "list" | "json";
	readonly allowed: string;
	/** Never shown; in a file only as the ARN of a secret. */
	readonly secret?: boolean;
	/** An address that may carry a login: in a file it does not. */
	readonly isAddress?: boolean;
}

const infos = z.registry<FieldInfo>();

function field<T extends z.ZodType>(type: T, info: FieldInfo, description: string, fallback?: unknown) {
	const meta = fallback === undefined ? { description } : { description, default: fallback };
	const made = type.optional().meta(meta);
	infos.add(made, info);
	return made;
}

export function infoOf(type: z.ZodType): FieldInfo | undefined {
	return infos.get(type);
}

const MAX_INTEGER = Number.MAX_SAFE_INTEGER;
const MAX_TEXT = 4_096;
const MAX_LIST = 256;

export function integer(description: string, fallback?: number, min = 1, max = MAX_INTEGER) {
	const bound = max === MAX_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
	const type = z.int().min(min).max(max);
	return field(type, { kind: "integer", allowed: `an integer ${bound}` }, description, fallback);
}

/** A value that something else fixes: saying it is allowed, saying another is not. */
export function fixed<const T extends number | boolean>(value: T, why: string, description: string) {
	const kind = typeof value === "boolean" ? "flag" : "integer";
	return field(z.literal(value), { kind, allowed: `${value}: ${why}` }, description, value);
}

export function share(description: string, fallback?: number) {
	return field(z.number().min(0).max(1), { kind: "number", allowed: "a number from 0 to 1" }, description, fallback);
}

export function flag(description: string, fallback?: boolean) {
	return field(z.boolean(), { kind: "flag", allowed: "true or false" }, description, fallback);
}

export function choice<const T extends readonly [string, ...string[]]>(
	values: T,
	description: string,
	fallback?: T[number],
) {
	return field(z.enum(values), { kind: "text", allowed: values.join(" | ") }, description, fallback);
}

export function text(description: string, allowed: string, pattern: RegExp, fallback?: string) {
	const type = z.string().min(1).max(MAX_TEXT).regex(pattern);
	return field(type, { kind: "text", allowed }, description, fallback);
}

export function clusterId(description: string) {
	const fits = (text: string) => text.isWellFormed() && encodeURIComponent(text).length <= MAX_CHANNEL_PART_BYTES;
	const type = z
		.string()
		.regex(/^.{1,128}$/s)
		.refine(fits);
	const allowed = `1 to 128 characters, of at most ${MAX_CHANNEL_PART_BYTES} bytes when percent-encoded`;
	return field(type, { kind: "text", allowed }, description);
}

/** Addresses, without a login in a file. */
export function addresses(description: string, allowed: string, pattern: RegExp, fallback: readonly string[]) {
	return field(listType(pattern), { kind: "list", allowed, isAddress: true }, description, fallback);
}

export function address(description: string, allowed: string, pattern: RegExp) {
	const type = z.string().max(MAX_TEXT).regex(pattern);
	return field(type, { kind: "text", allowed, isAddress: true }, description);
}

const listType = (pattern: RegExp) => z.array(z.string().min(1).max(MAX_TEXT).regex(pattern)).min(1).max(MAX_LIST);

export function list(description: string, allowed: string, pattern: RegExp) {
	return field(listType(pattern), { kind: "list", allowed: `a list of ${allowed}` }, description);
}

const DURATION = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)$/;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds, once it is read. */
export function duration(description: string, fallbackMs?: number, [least, most]: Range = [1, MAX_INTEGER]) {
	const days = Math.floor(most / (UNITS.d as number));
	const bound = most === MAX_INTEGER ? "at least 1 ms" : `from ${spell(least)} to ${days}d`;
	const allowed = `a duration such as "250ms", "30s", "10m", "24h" or "7d", ${bound}`;
	const type = z
		.string()
		.regex(DURATION)
		.transform((value, context) => {
			const ms = milliseconds(value);
			if (ms !== undefined && ms >= least && ms <= most) return ms;
			context.addIssue({ code: "custom", message: allowed });
			return z.NEVER;
		});
	return field(type, { kind: "text", allowed }, description, fallbackMs === undefined ? undefined : spell(fallbackMs));
}

function milliseconds(value: string): number | undefined {
	const match = DURATION.exec(value);
	const ms = match === null ? 0 : Math.round(Number(match[1]) * (UNITS[match[2] as string] as number));
	return ms >= 1 && Number.isSafeInteger(ms) ? ms : undefined;
}

function spell(ms: number): string {
	const units = ["h", "m", "s", "ms"];
	const unit = units.find((name) => ms % (UNITS[name] as number) === 0) ?? "ms";
	return `${ms / (UNITS[unit] as number)}${unit}`;
}

const ARN = /^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+$/;

export function secret(description: string) {
	const allowed = "the ARN of a Secrets Manager secret; the secret itself only in the environment";
	return field(z.string().max(MAX_TEXT).regex(ARN), { kind: "text", allowed, secret: true }, description);
}

/** The Secrets Manager region that an ARN names, or undefined for anything else. */
export function secretRegion(value: string): string | undefined {
	return ARN.test(value) ? value.split(":")[3] : undefined;
}

/** Anything that is checked elsewhere, given in the environment as JSON. */
export function json<T extends z.ZodType>(type: T, allowed: string, description: string) {
	return field(type, { kind: "json", allowed }, description);
}
