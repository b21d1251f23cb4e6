/** What an offer's outcome says about its target. */
import { type FanoutError, isFanoutError } from "../core/errors.ts";
import type { Verdict } from "../core/gate.ts";

/** Codes that speak of the target. All others are about what was asked of it, unless they may pass by themselves. */
const OF_TARGET = ["TransportUnavailable", "TransportRefused", "DeadlineExceeded", "DependencyMissing"] as const;

export function verdictOf(error: FanoutError | undefined): Verdict {
	if (error === undefined) return "success";
	return error.retryable || OF_TARGET.some((code) => isFanoutError(error, code)) ? "failure" : "neutral";
}
