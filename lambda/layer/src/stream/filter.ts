/**
 * What of its channels a client stream shows: methods by glob (`*` stands for any run of characters), for
 * `notifications/resources/updated` the exact URIs, for `notifications/message` the least level. Answers to requests
 * have no method and always pass. Filters come from outside: their number and length are bounded, and matching takes
 * at most length times length steps.
 */
import { FanoutError } from "../core/errors.ts";
import { globMatches } from "../core/glob.ts";
import { isLogLevel, LOG_LEVELS, type LogLevel } from "../core/log-level.ts";
import { MAX_METHOD_LENGTH, type Message } from "../core/message.ts";

export interface FilterOptions {
	readonly methods?: readonly string[] | undefined;
	readonly uris?: readonly string[] | undefined;
	/** A log message of a level that is none of MCP's passes. */
	readonly logLevel?: LogLevel | undefined;
}

export type Filter = (message: Message) => boolean;

export const MAX_FILTER_METHODS = 64;
export const MAX_FILTER_URIS = 1024;
export const MAX_URI_LENGTH = 2048;
export const RESOURCE_UPDATED = "notifications/resources/updated";
const LOG_MESSAGE = "notifications/message";

function checkList(name: string, list: unknown, maxCount: number, maxLength: number): readonly string[] {
	if (!Array.isArray(list)) throw new FanoutError("InvalidFilter", `${name} must be an array of strings`);
	if (list.length > maxCount) {
		throw new FanoutError("InvalidFilter", `${name} has ${list.length} entries, at most ${maxCount} are accepted`, {
			data: { entries: list.length, maxEntries: maxCount },
		});
	}
	for (const entry of list) {
		if (typeof entry !== "string" || entry === "" || entry.length > maxLength) {
			throw new FanoutError("InvalidFilter", `each of ${name} is a string of 1 to ${maxLength} characters`);
		}
	}
	return list as string[];
}

/** Checks the options; `undefined` when everything passes. Throws InvalidFilter. */
export function compileFilter(options: FilterOptions | undefined): Filter | undefined {
	if (options === undefined) return undefined;
	if (typeof options !== "object" || options === null) {
		throw new FanoutError("InvalidFilter", "a filter is an object { methods?, uris?, logLevel? }");
	}
	const methods =
		options.methods === undefined
			? undefined
			: checkList("methods", options.methods, MAX_FILTER_METHODS, MAX_METHOD_LENGTH);
	const uris =
		options.uris === undefined ? undefined : new Set(checkList("uris", options.uris, MAX_FILTER_URIS, MAX_URI_LENGTH));
	const { logLevel } = options;
	if (logLevel !== undefined && !isLogLevel(logLevel)) {
		throw new FanoutError("InvalidFilter", `logLevel is one of ${LOG_LEVELS.join(", ")}`);
	}
	if (methods === undefined && uris === undefined && logLevel === undefined) return undefined;
	const tooLow: readonly unknown[] = logLevel === undefined ? [] : LOG_LEVELS.slice(0, LOG_LEVELS.indexOf(logLevel));
	const exact = new Set(methods?.filter((method) => !method.includes("*")));
	const globs = methods?.filter((method) => method.includes("*")) ?? [];
	return (message) => {
		if (!("method" in message)) return true;
		const { method } = message;
		if (methods !== undefined && !exact.has(method) && !globs.some((glob) => globMatches(glob, method))) return false;
		if (method === LOG_MESSAGE) return !tooLow.includes(message.params?.level);
		if (uris === undefined || method !== RESOURCE_UPDATED) return true;
		const uri = message.params?.uri;
		return typeof uri === "string" && uris.has(uri);
	};
}
