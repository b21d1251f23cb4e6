/**
 * Conditions of routing rules: checked where they come in, then compiled to one function. Nothing here can blow up:
 * depth, size and pattern lengths are bounded, and a glob takes at most its length times the text's in steps.
 */
import { FanoutError } from "../core/errors.ts";
import { compileGlob } from "../core/glob.ts";
import type { Condition } from "./options.ts";

export const MAX_CONDITION_DEPTH = 16;
/** Conditions within one, and rules of one router. */
export const MAX_CONDITIONS = 1_000;
export const MAX_PATTERN_LENGTH = 512;

/** Whether a message to this session (undefined: the channel is no session's) with this method is meant. */
export type Matches = (session: string | undefined, method: string | undefined, sessions: number) => boolean;

export function invalid(where: string, what: string): FanoutError {
	return new FanoutError("ConfigInvalid", `${where}: ${what}`, { data: { where } });
}

function compilePattern(where: string, pattern: unknown): (text: string) => boolean {
	if (typeof pattern !== "string" || pattern === "" || pattern.length > MAX_PATTERN_LENGTH) {
		throw invalid(where, `a pattern is a string of 1 to ${MAX_PATTERN_LENGTH} characters`);
	}
	return compileGlob(pattern);
}

const KINDS: Readonly<Record<string, (where: string, value: unknown, depth: number) => Matches>> = {
	type(where, value) {
		const matches = compilePattern(where, value);
		return (_session, method) => method !== undefined && matches(method);
	},
	sessionPattern(where, value) {
		const matches = compilePattern(where, value);
		return (session) => session !== undefined && matches(session);
	},
	sessionCount(where, value) {
		if (!Number.isSafeInteger(value) || (value as number) < 0) {
			throw invalid(where, "a session count is an integer of at least 0");
		}
		return (_session, _method, sessions) => sessions >= (value as number);
	},
	all(where, value, depth) {
		const parts = compileList(where, value, depth);
		return (session, method, sessions) => parts.every((part) => part(session, method, sessions));
	},
	any(where, value, depth) {
		const parts = compileList(where, value, depth);
		return (session, method, sessions) => parts.some((part) => part(session, method, sessions));
	},
	not(where, value, depth) {
		const part = compile(where, value, depth + 1);
		return (session, method, sessions) => !part(session, method, sessions);
	},
};

function compileList(where: string, value: unknown, depth: number): Matches[] {
	if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CONDITIONS) {
		throw invalid(where, `a list of 1 to ${MAX_CONDITIONS} conditions is needed`);
	}
	return value.map((one, index) => compile(`${where}[${index}]`, one, depth + 1));
}

function compile(where: string, condition: unknown, depth: number): Matches {
	if (condition === "always") return () => true;
	if (depth > MAX_CONDITION_DEPTH) throw invalid(where, `conditions nest at most ${MAX_CONDITION_DEPTH} deep`);
	const entries = typeof condition === "object" && condition !== null ? Object.entries(condition) : [];
	const [kind, value] = entries[0] ?? [];
	if (entries.length !== 1 || kind === undefined || !Object.hasOwn(KINDS, kind)) {
		throw invalid(where, `a condition is "always" or an object with one of ${Object.keys(KINDS).join(", ")}`);
	}
	return (KINDS[kind] as (typeof KINDS)[string])(`${where}.${kind}`, value, depth);
}

/** Throws ConfigInvalid, naming the place within `where`. */
export function compileCondition(where: string, condition: Condition): Matches {
	return compile(where, condition, 0);
}

/** True of every message, whatever the traffic; false when that cannot be seen from the condition's shape. */
export function isAlways(condition: Condition): boolean {
	if (condition === "always") return true;
	if ("all" in condition) return condition.all.every(isAlways);
	if ("any" in condition) return condition.any.some(isAlways);
	if ("sessionCount" in condition) return condition.sessionCount === 0;
	return false;
}
