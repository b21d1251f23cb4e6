/**
 * What went wrong, as the engine wants to know it: may it succeed later, and may it have been done all the same. The
 * cause is left out: a server's error quotes rows, and with them what was published.
 */
import { FanoutError, isFanoutError } from "mcp-fanout/transport";

/** The same may succeed later: no connection, too much of something, a conflict, a server that stops or is a standby. */
const FOR_NOW = /^(08|25006|40|53|55|57)/;

export function notStarted(): FanoutError {
	return new FanoutError("TransportUnavailable", "the postgres transport has not started yet", { retryable: true });
}

/** `severity` is of the server's answers: with an ERROR it rolled back, and what ends a connection may follow a commit. */
export function failureOf(cause: unknown, what: string, isSent = false): FanoutError {
	if (isFanoutError(cause)) return cause;
	const { code = "", severity, message } = cause as Error & { readonly code?: string; readonly severity?: string };
	const retryable = severity === undefined || FOR_NOW.test(code);
	return new FanoutError(retryable ? "TransportUnavailable" : "TransportRefused", `${what}: ${message || code}`, {
		retryable,
		data: { code, uncertain: isSent && severity !== "ERROR" },
	});
}
