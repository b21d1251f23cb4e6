/**
 * One open WebSocket of the link: frames out and in, replies matched by `ref` under a deadline, keep-alive pings
 * inside API Gateway's ten idle minutes. It fails as a whole: a frame that cannot be read, a request or ping that
 * goes unanswered, or a close by the peer ends it once, with `lost`. Its user then dials another one, whose new
 * connection id leaves nothing behind of this one's half-done work.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Dialled } from "./dial.ts";
import { type ClientFrame, decodeServerFrame, encodeClientFrame, type ServerFrame } from "./wire.ts";

export interface SocketOptions {
	readonly clock: Clock;
	/** A number in [0, 1). */
	readonly random: () => number;
	readonly requestTimeoutMs: number;
	readonly pingMs: number;
	readonly goodbyeMs: number;
}

export interface SocketHost {
	/** Every frame that answers no request. */
	frame(frame: ServerFrame): void;
	lost(error: FanoutError): void;
}

type Reply = Extract<ServerFrame, { readonly t: "subscribed" | "unsubscribed" | "pong" }>;
export type Request =
	| { readonly action: "subscribe" | "unsubscribe"; readonly channels: readonly string[]; readonly again?: true }
	| { readonly action: "ping" };

export interface Socket {
	/** Rejects with what the cell answered; a missed deadline also loses the socket. */
	request(request: Request): Promise<Reply>;
	/** Resolves when the peer has answered the goodbye, or `goodbyeMs` are over. */
	close(): Promise<void>;
}

/** The ping interval varies by this share, so that a fleet started at once does not ping at once. */
const PING_JITTER = 0.1;

export function createSocket(dialled: Dialled, options: SocketOptions, host: SocketHost): Socket {
	const { socket } = dialled;
	const waiting = new Map<number, { resolve(reply: Reply): void; reject(error: FanoutError): void; timer: Timer }>();
	let refs = 0;
	let open = true;
	let pinger: Timer | undefined;

	const shut = (error: FanoutError): void => {
		open = false;
		pinger?.cancel();
		socket.removeEventListener("message", onMessage);
		socket.removeEventListener("close", onClose);
		for (const { reject, timer } of waiting.values()) {
			timer.cancel();
			reject(error);
		}
		waiting.clear();
	};
	const lose = (error: FanoutError): void => {
		if (!open) return;
		shut(error);
		dialled.drop();
		host.lost(error);
	};
	const onClose = (event: CloseEvent): void =>
		lose(new FanoutError("TransportUnavailable", `the WebSocket was closed (${event.code})`, { retryable: true }));
	const onMessage = (event: MessageEvent): void => {
		let frame: ServerFrame;
		try {
			if (typeof event.data !== "string") throw new FanoutError("InvalidMessage", "a frame is text");
			frame = decodeServerFrame(event.data);
		} catch (error) {
			lose(asFanoutError(error, "TransportUnavailable", "a frame could not be read", true));
			return;
		}
		const waiter = "ref" in frame && frame.ref !== undefined ? waiting.get(frame.ref) : undefined;
		if (waiter === undefined || !("ref" in frame) || frame.ref === undefined) {
			host.frame(frame);
			return;
		}
		waiting.delete(frame.ref);
		waiter.timer.cancel();
		if (frame.t === "subscribed" || frame.t === "unsubscribed" || frame.t === "pong") waiter.resolve(frame);
		else waiter.reject(refusal(frame));
	};
	const request = (request: Request): Promise<Reply> => {
		if (!open) return Promise.reject(new FanoutError("Closed", "the WebSocket is closed"));
		refs += 1;
		const ref = refs;
		const frame: ClientFrame = { ...request, ref };
		return new Promise<Reply>((resolve, reject) => {
			const timer = options.clock.after(options.requestTimeoutMs, () =>
				lose(
					new FanoutError("DeadlineExceeded", `no answer to ${request.action} within ${options.requestTimeoutMs} ms`, {
						retryable: true,
						data: { timeoutMs: options.requestTimeoutMs },
					}),
				),
			);
			waiting.set(ref, { resolve, reject, timer });
			socket.send(encodeClientFrame(frame));
		});
	};
	const keepAlive = (): void => {
		const wait = options.pingMs * (1 - PING_JITTER * options.random());
		pinger = options.clock.after(wait, () => {
			request({ action: "ping" }).then(keepAlive, lose);
		});
	};

	socket.addEventListener("message", onMessage);
	socket.addEventListener("close", onClose);
	keepAlive();
	return {
		request,
		async close() {
			if (!open) return;
			shut(new FanoutError("Closed", "the WebSocket was closed here"));
			const impatience = new AbortController();
			const timer = options.clock.after(options.goodbyeMs, () => impatience.abort());
			await dialled.hangUp(impatience.signal);
			timer.cancel();
		},
	};
}

function refusal(frame: ServerFrame): FanoutError {
	const why = frame.t === "error" ? `${frame.code}: ${frame.message}` : `an answer of kind ${frame.t}`;
	return new FanoutError("TransportRefused", `the cell refused a request with ${why}`, {
		retryable: frame.t === "error" && RETRYABLE.has(frame.code),
		data: frame.t === "error" ? { code: frame.code } : {},
	});
}

const RETRYABLE: ReadonlySet<string> = new Set(["TransportUnavailable", "DeadlineExceeded", "QueueFull", "Aborted"]);
export const isRetryableCode = (code: string): boolean => RETRYABLE.has(code);
