/**
 * The one error class. `code` is a closed union that callers switch on, `retryable` says whether the same
 * call may succeed later, `data` carries the figures behind the message (limits, sizes, endpoints).
 * A brand, not `instanceof`, tells a FanoutError: a layer's copy and a bundled copy of this module may meet.
 */
export type FanoutErrorCode =
	| "Aborted"
	| "AllBroadcastersFailed"
	| "Closed"
	| "ConfigInvalid"
	| "Conflict"
	| "DeadlineExceeded"
	| "DependencyMissing"
	| "InvalidChannel"
	| "InvalidCursor"
	| "InvalidEnvelope"
	| "InvalidFilter"
	| "InvalidMessage"
	| "InvalidRecord"
	| "NotOwner"
	| "PayloadTooLarge"
	| "QueueFull"
	| "ScopeRequired"
	| "TicketInvalid"
	| "TooManyChannels"
	| "TooManyStreams"
	| "TransportRefused"
	| "TransportUnavailable"
	| "UnknownEnvelopeVersion"
	| "UnknownRecordVersion"
	| "Unsupported";

export interface FanoutErrorOptions {
	readonly cause?: unknown;
	/** Several causes of one failure, in the order in which they were met. */
	readonly causes?: readonly unknown[];
	readonly retryable?: boolean;
	readonly data?: Readonly<Record<string, unknown>>;
}

const BRAND = Symbol.for("mcp-fanout.error");

export class FanoutError extends Error {
	readonly code: FanoutErrorCode;
	readonly retryable: boolean;
	readonly causes: readonly unknown[];
	readonly data: Readonly<Record<string, unknown>>;

	constructor(code: FanoutErrorCode, message: string, options: FanoutErrorOptions = {}) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.name = "FanoutError";
		this.code = code;
		this.retryable = options.retryable ?? false;
		this.causes = options.causes ?? (options.cause === undefined ? [] : [options.cause]);
		this.data = options.data ?? {};
		Object.defineProperty(this, BRAND, { value: true });
		// In JSON too: a receipt in a log says why a lane refused.
		Object.defineProperty(this, "message", { enumerable: true });
		// Who prints the error prints its cause: both would be there twice, and theirs four times.
		const isMore = this.causes.length > 1 || this.causes[0] !== options.cause;
		Object.defineProperty(this, "causes", { enumerable: isMore });
	}
}

/** True for a FanoutError of any copy of this package. */
export function isFanoutError(value: unknown, code?: FanoutErrorCode): value is FanoutError {
	if (typeof value !== "object" || value === null || !(BRAND in value)) return false;
	return code === undefined || (value as unknown as FanoutError).code === code;
}

/** Wraps anything thrown; a FanoutError passes unchanged. */
export function asFanoutError(value: unknown, code: FanoutErrorCode, message: string, retryable = false): FanoutError {
	if (isFanoutError(value)) return value;
	const detail = value instanceof Error ? value.message : String(value);
	return new FanoutError(code, `${message}: ${detail}`, { cause: value, retryable });
}

/** A client library's error without the command that failed, which has all it was given: logins, keys, envelopes. */
export function bare(error: unknown): unknown {
	for (let at = error; at instanceof Error; at = (at as { lastNodeError?: unknown }).lastNodeError) {
		Reflect.deleteProperty(at, "command");
	}
	return error;
}
