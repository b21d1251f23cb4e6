/** What an error of the client or the server means: refused for now, refused for good, or nobody knows. */
import { bare, FanoutError, isFanoutError } from "../../core/errors.ts";

export interface Failure {
	readonly error: FanoutError;
	/** The server may have done what it was asked. */
	readonly uncertain: boolean;
}

/** The server answered, and did nothing; the same call may succeed later. */
const FOR_NOW = /^(READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOREPLICAS|OOM|BUSY|MOVED|ASK|MISCONF|UNBLOCKED)\b/;
const LOGIN = /^(NOAUTH|WRONGPASS|NOPERM)\b/;
/** Nothing was sent. */
const NOT_SENT = /enableOfflineQueue|Cluster isn't ready|None of startup nodes|All sentinels are unreachable/;

/** Before Redis 7, what a command in a script was refused with stands behind where it was called. */
const IN_SCRIPT = /^ERR Error running script \(call to f_[0-9a-f]+\): (?:@user_script: ?\d+: )+-?/;
const answerOf = ({ message }: Error): string => message.replace(IN_SCRIPT, "");

/** Who was the primary is a replica now. */
export const isReadOnly = (error: Error): boolean => answerOf(error).startsWith("READONLY");

export function failureOf(cause: unknown, what: string): Failure {
	if (isFanoutError(cause)) return { error: cause, uncertain: false };
	bare(cause);
	const message = cause instanceof Error ? answerOf(cause) : String(cause);
	const refused = (
		code: "TransportRefused" | "ConfigInvalid" | "TransportUnavailable",
		retryable: boolean,
		uncertain = false,
	) => ({ error: new FanoutError(code, `${what}: ${message}`, { cause, retryable }), uncertain });
	if (FOR_NOW.test(message)) return refused("TransportUnavailable", true);
	if (message.includes("PARTITIONS the store")) return refused("ConfigInvalid", false);
	// What a script did before a command of it was refused stands; the refusals above come with its first write.
	const isMidway = cause instanceof Error && cause.message.includes("user_script");
	if (LOGIN.test(message)) return refused("TransportRefused", false, isMidway);
	if (cause instanceof Error && cause.name === "ReplyError") return refused("TransportRefused", false, isMidway);
	const error = new FanoutError("TransportUnavailable", `${what}: ${message}`, { cause, retryable: true });
	return { error, uncertain: !NOT_SENT.test(message) };
}
