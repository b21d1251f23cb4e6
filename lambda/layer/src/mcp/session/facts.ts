/**
 * What the registry keeps of a session beside its principal and the application's state: all that a process needs to
 * take it over. Read from outside, so checked; fields of a later release stay when this one writes.
 */
import { FanoutError } from "../../core/errors.ts";
import { isLogLevel, type LogLevel } from "../../core/log-level.ts";
import type { Json } from "../../sessions/record.ts";

export interface HeldGet {
	/** The process that holds the GET stream, and the how-manieth of the session it is. */
	readonly instance: string;
	readonly n: number;
	/** Where a GET without a cursor starts: what comes after it was never shown to be received. */
	readonly floor: string;
}

export interface SessionFacts {
	/** The params of the client's initialize. */
	readonly initialize: Readonly<Record<string, unknown>>;
	readonly protocol: string;
	/** What the server said it can. */
	readonly capabilities: Readonly<Record<string, unknown>>;
	/** What the client set, if it did: nothing below it is shown. */
	readonly logLevel?: LogLevel | undefined;
	/** Resources that the client subscribed to. */
	readonly uris: readonly string[];
	readonly get: HeldGet;
}

/** What a client stream's filter takes. */
export const MAX_SUBSCRIPTIONS = 1_000;
export const MAX_URI_LENGTH = 2_048;

type Raw = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);

export function readFacts(json: Json): SessionFacts {
	const { initialize, protocol, capabilities, logLevel, uris, get } = isObject(json) ? json : ({} as Raw);
	const isWhole = isObject(initialize) && isObject(capabilities) && typeof protocol === "string" && isObject(get);
	if (!isWhole || !Array.isArray(uris) || uris.some((uri) => typeof uri !== "string")) {
		throw new FanoutError("InvalidRecord", "a session's facts are not those of an MCP session");
	}
	const { instance, n, floor } = get;
	if (typeof instance !== "string" || typeof n !== "number" || typeof floor !== "string") {
		throw new FanoutError("InvalidRecord", "a session's facts name no GET stream");
	}
	const level = isLogLevel(logLevel) ? { logLevel } : {};
	return { initialize, protocol, capabilities, ...level, uris: uris as string[], get: { instance, n, floor } };
}

/** Facts as the registry keeps them, over those that it had. */
export function writeFacts(facts: SessionFacts, before: Json = null): Json {
	return { ...(isObject(before) ? before : {}), ...facts } as unknown as Json;
}
