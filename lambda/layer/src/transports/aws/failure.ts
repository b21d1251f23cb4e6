/**
 * What a failed call to AWS means for an envelope: `uncertain` when it may have been accepted all the same, and
 * retryable when the same call may succeed later. Only a refusal that the service itself stated, or a connection
 * that was never made, is certain; after more than one attempt only the service's word is.
 */
import { FanoutError, isFanoutError } from "../../core/errors.ts";

export interface Failure {
	readonly ok: false;
	readonly uncertain: boolean;
	readonly error: FanoutError;
}

/** Errors of a connection that no request has left on. */
const NEVER_SENT: ReadonlySet<string> = new Set([
	"ECONNREFUSED",
	"ENOTFOUND",
	"EAI_AGAIN",
	"EHOSTUNREACH",
	"ENETUNREACH",
	"CERT_HAS_EXPIRED",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
]);
const FOR_NOW = /Throttl|ThroughputExceeded|ExpiredToken|TooManyRequests|RequestLimitExceeded|SlowDown|KmsThrottled/i;

interface SdkError {
	readonly name?: string;
	readonly code?: string;
	readonly message?: string;
	readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
	readonly $response?: { readonly statusCode?: number };
	readonly errors?: readonly unknown[];
}

function codeOf(error: SdkError): string {
	// Node tries a name's addresses in turn and wraps what failed in an AggregateError.
	const first = error.errors?.[0] as SdkError | undefined;
	return error.code ?? first?.code ?? "";
}

export function failureOf(thrown: unknown, what: string): Failure {
	if (isFanoutError(thrown)) return { ok: false, uncertain: thrown.code === "DeadlineExceeded", error: thrown };
	const error = (typeof thrown === "object" && thrown !== null ? thrown : {}) as SdkError;
	const status = error.$metadata?.httpStatusCode ?? error.$response?.statusCode;
	const attempts = error.$metadata?.attempts ?? 1;
	const name = error.name ?? "Error";
	const refused = status !== undefined && status >= 400 && status < 500;
	const noConnection =
		NEVER_SENT.has(codeOf(error)) || (name === "TimeoutError" && /establish/.test(error.message ?? ""));
	const unsent = status === undefined && noConnection && attempts <= 1;
	const retryable = !refused || FOR_NOW.test(name) || status === 408 || status === 429;
	const detail = codeOf(error) || name;
	return {
		ok: false,
		uncertain: !refused && !unsent,
		error: new FanoutError(
			refused && !retryable ? "TransportRefused" : "TransportUnavailable",
			`${what} failed: ${detail}${error.message ? ` (${error.message})` : ""}`,
			{ cause: thrown, retryable, data: { reason: detail, ...(status === undefined ? {} : { status }) } },
		),
	};
}
