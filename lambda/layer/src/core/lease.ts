/**
 * A lease: how long a process may hold a request. When it is over the request's signal aborts with this reason, and
 * what streams for it ends politely, so that its client comes back; any other abort means that nobody reads any more.
 */
import { FanoutError, isFanoutError } from "./errors.ts";

export function leaseOver(leaseMs: number): FanoutError {
	return new FanoutError("Aborted", `the lease of ${leaseMs} ms is over`, { retryable: true, data: { leaseMs } });
}

export function isLeaseOver(reason: unknown): boolean {
	return isFanoutError(reason, "Aborted") && reason.data.leaseMs !== undefined;
}
