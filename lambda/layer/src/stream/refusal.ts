/**
 * Streams that were never opened. An endpoint that throws in a request listener ends the process, so hostile or
 * excess requests are answered on their own connection, and the caller gets a stream that has ended.
 */
import { type FanoutError, isFanoutError } from "../core/errors.ts";
import type { ClientStream } from "./port.ts";

const RETRY_AFTER_SECONDS = 5;

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

/** How to refuse a stream for this error; anything but a FanoutError is a bug and thrown on. */
export function refusalOf(error: unknown): Refusal {
	if (!isFanoutError(error)) throw error;
	const status = statusOf(error);
	const opened = Promise.reject(error);
	// Callers who look at `opened` see the error; for those who do not it is no unhandled rejection.
	opened.catch(() => undefined);
	return {
		error,
		status,
		headers: {
			"Content-Type": "application/json",
			...(status === 503 ? { "Retry-After": String(RETRY_AFTER_SECONDS) } : {}),
		},
		body: JSON.stringify({ error: error.code, message: error.message }),
		stream: {
			id: "",
			opened,
			closed: Promise.resolve("closed"),
			update: () => Promise.reject(error),
			close() {},
		},
	};
}
