/** One acknowledgement: what JetStream said of one message or one atomic batch, or why it said nothing. */
import { FanoutError } from "../../core/errors.ts";
import type { Msg } from "./client.ts";
import { type ApiError, closed, disconnected, ERR, NOBODY, refused, type Silence } from "./failure.ts";

export type Ack =
	| { readonly ok: true; readonly seq: number; readonly duplicate: boolean }
	| { readonly ok: false; readonly uncertain: boolean; readonly error: FanoutError };

interface PubAck {
	readonly seq: number;
	readonly duplicate?: boolean;
	readonly error?: ApiError;
}

export function readAck(msg: Msg, what: string): Ack {
	if (msg.data.length === 0) {
		// A status: no stream listens to this subject at the moment, so nothing was taken.
		const error = new FanoutError("TransportUnavailable", `${what}: no stream takes it at the moment`, {
			retryable: true,
			data: { status: NOBODY },
		});
		return { ok: false, uncertain: false, error };
	}
	let ack: PubAck;
	try {
		ack = JSON.parse(msg.string());
	} catch (cause) {
		const error = new FanoutError("TransportRefused", `${what}: an acknowledgement that is no JSON`, { cause });
		return { ok: false, uncertain: true, error };
	}
	if (ack.error === undefined) return { ok: true, seq: ack.seq, duplicate: ack.duplicate === true };
	// The same id is in process, or the leader failed in the middle: it may be there all the same.
	const uncertain = ack.error.err_code === ERR.duplicateInProcess || ack.error.code >= 500;
	return { ok: false, uncertain, error: refused(what, ack.error) };
}

/** No stream listened: nothing was taken, and perhaps nobody is there. */
export function isNobody(ack: Ack): boolean {
	return !ack.ok && ack.error.data.status === NOBODY;
}

export function noAck(reason: Silence, what: string, timeoutMs: number): Ack {
	if (reason === "closed") return { ok: false, uncertain: true, error: closed() };
	if (reason === "disconnected") return { ok: false, uncertain: true, error: disconnected() };
	const error = new FanoutError("DeadlineExceeded", `${what} was not acknowledged within ${timeoutMs} ms`, {
		retryable: true,
		data: { timeoutMs },
	});
	return { ok: false, uncertain: true, error };
}
