/** Who a request is from, before anything else is done with it: an identity, or the answer to who has none. */
import type { Clock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError, isFanoutError } from "../core/errors.ts";
import {
	type AuthInfoLike,
	anonymous,
	DEFAULT_IDENTITY_TIMEOUT_MS,
	expiryOf,
	type Identity,
	type IdentityOptions,
	identify,
} from "./identity.ts";
import { refuse, refuseFailed, refuseForNow } from "./session/refusal.ts";

export interface EntryDeps {
	readonly namespace: string;
	readonly clock: Clock;
	onerror(error: FanoutError): void;
}

export type Enter = (request: Request, authInfo: AuthInfoLike | undefined) => Promise<Identity | Response>;

export function createEntry(options: IdentityOptions, { namespace, clock, onerror }: EntryDeps): Enter {
	const { identityTimeoutMs: timeoutMs = DEFAULT_IDENTITY_TIMEOUT_MS } = options;
	if (!Number.isFinite(timeoutMs) || timeoutMs <= 0) {
		throw new FanoutError("ConfigInvalid", `identityTimeoutMs must be a positive number, not ${String(timeoutMs)}`);
	}
	return async (request, authInfo) => {
		if (authInfo === undefined) return anonymous(namespace);
		const expiresAtMs = expiryOf(authInfo);
		// A time that is no number has come.
		if (expiresAtMs !== undefined && !(expiresAtMs > clock.now())) return refuse(401, "the authorisation has expired");
		try {
			const what = "finding the principal and the tenant";
			return await withDeadline(clock, timeoutMs, what, () => identify(options, namespace, request, authInfo));
		} catch (error) {
			const failure = asFanoutError(error, "ScopeRequired", "principal or tenant could not be found");
			onerror(failure);
			if (failure.code === "DeadlineExceeded") {
				return refuseForNow(`principal and tenant were not known within ${timeoutMs} ms: try again`);
			}
			// The application's own lookup may have failed, with what stands behind it in the message.
			const isTold = isFanoutError(error, "ScopeRequired") || isFanoutError(error, "InvalidChannel");
			return isTold ? refuse(403, failure.message) : refuseFailed(failure);
		}
	};
}
