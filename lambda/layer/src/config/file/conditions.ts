/** A rule's condition as a file spells it, checked part by part so that each problem is at its own place, and as routing takes it. */
import { MAX_CONDITION_DEPTH, MAX_CONDITIONS, MAX_PATTERN_LENGTH } from "../../route/condition.ts";
import type { Condition } from "../../route/options.ts";
import { nearest, shown } from "./problems.ts";

export interface ConditionProblem {
	readonly path: readonly (string | number)[];
	readonly message: string;
	readonly found?: string | undefined;
	readonly allowed?: string | undefined;
	readonly nearest?: string | undefined;
}

const CONDITION_KEYS = ["type", "session_pattern", "session_count", "all", "any", "not"] as const;
type ConditionKey = (typeof CONDITION_KEYS)[number];

const ALLOWED = `"always", or exactly one of { ${CONDITION_KEYS.join(" | ")} }`;

type Told = (problem: ConditionProblem) => void;

export function readCondition(
	value: unknown,
	path: readonly (string | number)[],
	told: Told,
	depth = 0,
): Condition | undefined {
	const wrong = (message: string, more: Omit<ConditionProblem, "path" | "message"> = {}) => {
		told({ path, message, ...more });
		return undefined;
	};
	if (value === "always") return "always";
	if (depth > MAX_CONDITION_DEPTH) return wrong(`conditions nest at most ${MAX_CONDITION_DEPTH} deep`);
	if (typeof value !== "object" || value === null || Array.isArray(value)) {
		return wrong("is no condition", { found: shown(value), allowed: ALLOWED });
	}
	const entries = Object.entries(value as Record<string, unknown>);
	for (const [key] of entries) {
		if (isKey(key)) continue;
		told({
			path: [...path, key],
			message: "is no key of a condition",
			allowed: ALLOWED,
			nearest: nearest(key, CONDITION_KEYS),
		});
		return undefined;
	}
	const [first] = entries;
	if (entries.length !== 1 || first === undefined) {
		return wrong("is no condition", { found: `${entries.length} keys`, allowed: ALLOWED });
	}
	const [key, inner] = first as [ConditionKey, unknown];
	return readPart(key, inner, [...path, key], told, depth);
}

function isKey(key: string): key is ConditionKey {
	return (CONDITION_KEYS as readonly string[]).includes(key);
}

function readPart(
	key: ConditionKey,
	value: unknown,
	path: readonly (string | number)[],
	told: Told,
	depth: number,
): Condition | undefined {
	const wrong = (allowed: string) => {
		told({ path, message: "is not allowed", found: shown(value), allowed });
		return undefined;
	};
	switch (key) {
		case "type":
		case "session_pattern":
			if (typeof value !== "string" || value === "" || value.length > MAX_PATTERN_LENGTH) {
				return wrong(`a pattern of 1 to ${MAX_PATTERN_LENGTH} characters`);
			}
			return key === "type" ? { type: value } : { sessionPattern: value };
		case "session_count":
			if (!Number.isSafeInteger(value) || (value as number) < 0) return wrong("an integer from 0");
			return { sessionCount: value as number };
		case "not": {
			const inner = readCondition(value, path, told, depth + 1);
			return inner === undefined ? undefined : { not: inner };
		}
		default: {
			if (!Array.isArray(value) || value.length === 0 || value.length > MAX_CONDITIONS) {
				return wrong(`a list of 1 to ${MAX_CONDITIONS} conditions`);
			}
			const parts = value.map((part: unknown, index) => readCondition(part, [...path, index], told, depth + 1));
			const good = parts.filter((part) => part !== undefined);
			if (good.length < parts.length) return undefined;
			return key === "all" ? { all: good } : { any: good };
		}
	}
}
