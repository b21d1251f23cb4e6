/** Answers of our own to requests that go no further, in the shape of the SDK's transports. */
import type { FanoutError, FanoutErrorCode } from "../../core/errors.ts";

export interface RefusalOptions {
	/** JSON-RPC's code; by default the one that servers may define. */
	readonly code?: number;
	readonly headers?: Readonly<Record<string, string>>;
}

export const PARSE_ERROR = -32_700;
export const INVALID_REQUEST = -32_600;
export const INTERNAL_ERROR = -32_603;
const SERVER_ERROR = -32_000;
/** What the SDK says of a session that it does not know. */
export const SESSION_NOT_FOUND = -32_001;

export function refuse(status: number, message: string, { code = SERVER_ERROR, headers = {} }: RefusalOptions = {}) {
	return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status, headers });
}

/** Something that this process needs cannot be reached now: the client shall ask again, and keep its session. */
export const refuseForNow = (message: string): Response => refuse(503, message, { headers: { "retry-after": "1" } });

/** Messages that name a limit of ours or what the client did; others may name what stands behind us. */
const SHOWN: readonly FanoutErrorCode[] = ["InvalidFilter", "PayloadTooLarge", "QueueFull"];

export function shown({ code, message }: FanoutError): string {
	return SHOWN.includes(code) ? message : "the session cannot be served now: try again";
}

/** The answer to a request that failed: whether it is to be tried again, and nothing of what stands behind us. */
export function refuseFailed(error: FanoutError): Response {
	if (error.code === "PayloadTooLarge") return refuse(413, shown(error));
	// A process that drains opens no more.
	if (error.retryable || error.code === "Closed") return refuseForNow(shown(error));
	return refuse(500, "Internal error", { code: INTERNAL_ERROR });
}

export const sessionNotFound = (): Response => refuse(404, "Session not found", { code: SESSION_NOT_FOUND });
