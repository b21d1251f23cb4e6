/** What sessions may be told, with the defaults that they really use. */
import { FanoutError } from "../../core/errors.ts";
import { checkNames } from "../../core/ranges.ts";
import { DEFAULT_BODY_TIMEOUT_MS, DEFAULT_MAX_BODY_BYTES } from "./body.ts";
import type { AddressOptions } from "./checks.ts";
import { DEFAULT_RETRY_MS } from "./gets.ts";
import { DEFAULT_MAX_LIVE } from "./live-sessions.ts";
import { DEFAULT_MAX_LOGGED } from "./post-log.ts";
import type { ResponseMode } from "./post-stream.ts";
import { DEFAULT_EXPIRY } from "./store.ts";

export interface SessionOptions extends AddressOptions {
	/** A session that nobody used or heard for this time has ended. Default 1 hour. */
	readonly idleMs?: number | undefined;
	/** A session ends this long after it was opened, however much it is used. Default 24 hours. */
	readonly maxAgeMs?: number | undefined;
	/** Sessions at work in this process at once; the least recently used rests, and is taken over again. Default 10,000. */
	readonly maxSessions?: number | undefined;
	/** Default 4 MiB, as the SDK's. */
	readonly maxBodyBytes?: number | undefined;
	/** How long a request's body may take to come; then the request is answered 408. Default 30 seconds. */
	readonly bodyTimeoutMs?: number | undefined;
	/** How POSTs of requests are answered. Default `auto`: JSON when nothing but answers is said, and soon. */
	readonly responseMode?: ResponseMode | undefined;
	/** While a client does not read its GET stream, keep only the last of invalidations that say the same. Default false. */
	readonly coalesce?: boolean | undefined;
	/** How long a client shall wait before it opens a stream again. Default 1 second. */
	readonly retryMs?: number | undefined;
	/**
	 * Whether a POST's stream can be resumed after it broke, on any process: each of its messages is then written to a
	 * log as well, `maxMessages` of a stream at most (default 1,000). Default false.
	 */
	readonly resumePosts?: boolean | { readonly maxMessages?: number | undefined } | undefined;
	/** A request that names no session: refused with 400 (default), or passed on to the wrapped handler. */
	readonly sessionless?: "refuse" | "stateless" | undefined;
}

const KNOWN: Readonly<Record<keyof SessionOptions, true>> = {
	...{ allowedHosts: true, allowedOrigins: true, idleMs: true, maxAgeMs: true, maxSessions: true, maxBodyBytes: true },
	...{ bodyTimeoutMs: true, responseMode: true, coalesce: true, retryMs: true, resumePosts: true, sessionless: true },
};

/** How often sessions at work here are looked up although nobody uses them. */
const MAX_SWEEP_MS = 60_000;

export function resolveSessionOptions(given: SessionOptions) {
	checkNames("sessions", given, KNOWN);
	const { allowedHosts, allowedOrigins, responseMode = "auto", sessionless = "refuse" } = given;
	const positive = (name: string, value: number) => {
		if (Number.isFinite(value) && value > 0) return value;
		throw new FanoutError("ConfigInvalid", `${name} must be a positive number, not ${String(value)}`);
	};
	const idleMs = positive("idleMs", given.idleMs ?? DEFAULT_EXPIRY.idleMs);
	return {
		allowedHosts,
		allowedOrigins,
		responseMode: oneOf("responseMode", responseMode, ["auto", "sse", "json"] as const),
		sessionless: oneOf("sessionless", sessionless, ["refuse", "stateless"] as const),
		idleMs,
		coalesce: given.coalesce ?? false,
		maxAgeMs: positive("maxAgeMs", given.maxAgeMs ?? DEFAULT_EXPIRY.maxAgeMs),
		sweepMs: Math.min(idleMs / 8, MAX_SWEEP_MS),
		maxSessions: positive("maxSessions", given.maxSessions ?? DEFAULT_MAX_LIVE),
		maxBodyBytes: positive("maxBodyBytes", given.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES),
		bodyTimeoutMs: positive("bodyTimeoutMs", given.bodyTimeoutMs ?? DEFAULT_BODY_TIMEOUT_MS),
		maxLogged: maxLogged(given.resumePosts, positive),
		retryMs: positive("retryMs", given.retryMs ?? DEFAULT_RETRY_MS),
	};
}

/** Undefined when POSTs are not resumed. */
function maxLogged(
	resumePosts: SessionOptions["resumePosts"],
	positive: (name: string, value: number) => number,
): number | undefined {
	if (resumePosts === undefined || resumePosts === false) return undefined;
	const { maxMessages = DEFAULT_MAX_LOGGED } = resumePosts === true ? {} : resumePosts;
	return positive("resumePosts.maxMessages", maxMessages);
}

function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[]): T {
	const found = allowed.find((one) => one === value);
	if (found !== undefined) return found;
	throw new FanoutError("ConfigInvalid", `${name} must be one of ${allowed.join(", ")}, not ${String(value)}`);
}
