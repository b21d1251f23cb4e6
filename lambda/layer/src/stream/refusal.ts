/**
 * Streams that were never opened. An endpoint that throws in a request listener ends the process, so hostile or
 * excess requests are answered on their own connection, and the caller gets a stream that has ended. So does the client
 * of an instance that goes away, where it hears server-sent events: a status would end an EventSource for good, and an
 * MCP client's GET after two of them, though another instance is there.
 */
import { type FanoutError, isFanoutError } from "../core/errors.ts";
import { asksForStatus, SSE_HEADERS, sseRetry } from "../core/sse.ts";
import { sseEncoding } from "./frames.ts";
import type { ClientStream } from "./port.ts";

/** An instance is full, or its servers are away. */
const RETRY_AFTER_SECONDS = 5;
/** Of one that goes away there are others. */
const GOES_AWAY_RETRY_SECONDS = 1;

export interface Refusal {
	readonly error: FanoutError;
	readonly status: number;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string;
	readonly stream: ClientStream;
}

function statusOf({ code }: FanoutError): number {
	if (code === "TooManyStreams" || code === "Closed" || code === "TransportUnavailable") return 503;
	return code === "ScopeRequired" ? 403 : 400;
}

/** A client of server-sent events, which can be sent on. */
interface SseClient {
	/** Of the header `REFUSE_HEADER`. */
	readonly refuse: unknown;
	readonly retryMs?: number | undefined;
}

/** How to refuse a stream for this error; anything but a FanoutError is a bug and thrown on. */
export function refusalOf(error: unknown, sse?: SseClient): Refusal {
	if (!isFanoutError(error)) throw error;
	const stream = endedBy(error);
	const goesAway = error.code === "Closed";
	if (goesAway && sse !== undefined && !asksForStatus(sse.refuse)) {
		const body = sseRetry(sse.retryMs ?? GOES_AWAY_RETRY_SECONDS * 1_000) + sseEncoding.end("shutdown");
		return { error, status: 200, headers: SSE_HEADERS, body, stream };
	}
	const status = statusOf(error);
	const seconds = goesAway ? GOES_AWAY_RETRY_SECONDS : RETRY_AFTER_SECONDS;
	const headers = {
		"Content-Type": "application/json",
		...(status === 503 ? { "Retry-After": String(seconds) } : {}),
	};
	return { error, status, headers, body: JSON.stringify({ error: error.code, message: error.message }), stream };
}

function endedBy(error: FanoutError): ClientStream {
	const opened = Promise.reject(error);
	// Callers who look at `opened` see the error; for those who do not it is no unhandled rejection.
	opened.catch(() => undefined);
	return { id: "", opened, closed: Promise.resolve("closed"), update: () => Promise.reject(error), close() {} };
}
