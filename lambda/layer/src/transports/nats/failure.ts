/** What JetStream and its client refuse, as FanoutErrors; `errCode` is JetStream's own. */
import { FanoutError, isFanoutError } from "../../core/errors.ts";

export interface ApiError {
	readonly code: number;
	readonly err_code?: number;
	readonly description?: string;
}

export const ERR = {
	noMessage: 10037,
	streamNotFound: 10059,
	nameInUse: 10058,
	wrongLastSequence: 10071,
	messageTooLarge: 10054,
	duplicateInBatch: 10201,
	duplicateInProcess: 10158,
} as const;

export function refused(what: string, error: ApiError): FanoutError {
	const retryable = error.code >= 500 || error.code === 429 || error.code === 408;
	const code = error.err_code === ERR.messageTooLarge ? "PayloadTooLarge" : "TransportRefused";
	return new FanoutError(code, `${what}: ${error.description ?? "no reason"} (${error.err_code ?? error.code})`, {
		retryable: retryable || error.err_code === ERR.duplicateInProcess,
		data: { errCode: error.err_code, code: error.code },
	});
}

export function isRefusal(error: unknown, errCode: number): boolean {
	return isFanoutError(error) && error.data.errCode === errCode;
}

/** NATS's status for a request that has no responders. */
export const NOBODY = 503;

/** Why a question got no answer. */
export type Silence = "timeout" | "disconnected" | "closed" | "nobody";

export function unanswered(what: string, reason: Silence, timeoutMs: number, cause?: unknown): FanoutError {
	if (reason === "closed") return closed(cause);
	if (reason === "disconnected") return disconnected(cause);
	if (reason === "nobody") {
		return new FanoutError("TransportUnavailable", `nobody answers for ${what} now`, { retryable: true });
	}
	return new FanoutError("DeadlineExceeded", `${what} took longer than ${timeoutMs} ms`, {
		retryable: true,
		data: { timeoutMs },
	});
}

export function disconnected(cause?: unknown): FanoutError {
	return new FanoutError("TransportUnavailable", "not connected to NATS at the moment", { cause, retryable: true });
}

export function notStarted(): FanoutError {
	return new FanoutError("TransportUnavailable", "the nats transport has not started yet", { retryable: true });
}

export function closed(cause?: unknown): FanoutError {
	return new FanoutError("Closed", "the nats transport is closed", { cause });
}
