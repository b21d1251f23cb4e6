/** Who a request is from, before anything else is done with it: an identity, or the answer to who has none. */
import type { Clock } from "../core/clock.ts";
import { asFanoutError, type FanoutError, isFanoutError } from "../core/errors.ts";
import { type AuthInfoLike, anonymous, type Identity, type IdentityOptions, identify } from "./identity.ts";
import { refuse, refuseFailed } from "./session/refusal.ts";

export interface EntryDeps {
	readonly namespace: string;
	readonly clock: Clock;
	onerror(error: FanoutError): void;
}

export async function enter(
	options: IdentityOptions,
	{ namespace, clock, onerror }: EntryDeps,
	request: Request,
	authInfo: AuthInfoLike | undefined,
): Promise<Identity | Response> {
	if (authInfo === undefined) return anonymous(namespace);
	if (authInfo.expiresAt !== undefined && authInfo.expiresAt * 1000 <= clock.now()) {
		return refuse(401, "the authorisation has expired");
	}
	try {
		return await identify(options, namespace, request, authInfo);
	} catch (error) {
		const failure = asFanoutError(error, "ScopeRequired", "principal or tenant could not be found");
		onerror(failure);
		// The application's own lookup may have failed, with what stands behind it in the message.
		const isTold = isFanoutError(error, "ScopeRequired") || isFanoutError(error, "InvalidChannel");
		return isTold ? refuse(403, failure.message) : refuseFailed(failure);
	}
}
