/**
 * One WebSocket of the client: frames by `ref` under a deadline, and pings inside API Gateway's ten idle minutes. It
 * fails as a whole, once: a close, a frame that cannot be read, an error that answers nothing, or no answer in time.
 */
import type { Clock, Timer } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { type Frame, readFrame } from "./frames.ts";

/** What is used of a WebSocket class; browsers' and Node's fit, and so does `ws`. */
export type WebSocketLike = new (
	url: string,
	protocols: string[],
) => {
	onopen: ((event: never) => void) | null;
	onclose: ((event: never) => void) | null;
	onerror: ((event: never) => void) | null;
	onmessage: ((event: never) => void) | null;
	send(text: string): void;
	close(): void;
};

export interface SocketOptions {
	readonly clock: Clock;
	readonly random: () => number;
	readonly WebSocket: WebSocketLike;
	readonly requestTimeoutMs: number;
	readonly checkMs: number;
}

export interface SocketHost {
	opened(): void;
	/** Asks the server something: called inside every ten idle minutes, so that API Gateway keeps the connection. */
	keepAlive(): Promise<void>;
	frame(frame: Frame): void;
	lost(error: FanoutError): void;
}

export interface Socket {
	/**
	 * Rejects when the server refuses it (`error.data.code`), or when the socket is lost or closed first; whoever opened it
	 * is told a loss by `lost` in any case.
	 */
	request(frame: Readonly<Record<string, unknown>>): Promise<Frame>;
	/** What it says is of no use: it fails as if the connection had. */
	lose(error: FanoutError): void;
	close(): void;
}

function failure(message: string): FanoutError {
	return new FanoutError("TransportUnavailable", message, { retryable: true });
}

function refused(code: string): FanoutError {
	return new FanoutError("TransportRefused", `the server refused: ${code}`, { data: { code } });
}

function ended(reason: string): FanoutError {
	return new FanoutError("TransportUnavailable", `the server ended the connection: ${reason}`, {
		retryable: true,
		data: { reason },
	});
}

export function openSocket(url: string, ticket: string, options: SocketOptions, host: SocketHost): Socket {
	const { clock } = options;
	const waiting = new Map<number, { resolve(frame: Frame): void; reject(error: FanoutError): void; timer: Timer }>();
	const socket = new options.WebSocket(url, ["mcp-fanout", `ticket.${ticket}`]);
	let refs = 0;
	let open = true;
	let pinger: Timer | undefined;

	const shut = (error: FanoutError) => {
		open = false;
		dialing.cancel();
		pinger?.cancel();
		for (const { timer, reject } of waiting.values()) {
			timer.cancel();
			reject(error);
		}
		waiting.clear();
		socket.onopen = socket.onmessage = socket.onclose = null;
		// A socket that is closed while it connects still reports an error, which nobody waits for.
		socket.onerror = () => undefined;
		socket.close();
	};
	const lose = (error: FanoutError) => {
		if (!open) return;
		shut(error);
		host.lost(error);
	};
	const deadline = (what: string) =>
		clock.after(options.requestTimeoutMs, () =>
			lose(failure(`no answer to ${what} within ${options.requestTimeoutMs} ms`)),
		);
	const dialing = deadline("the connection");
	const request: Socket["request"] = (frame) =>
		new Promise((resolve, reject) => {
			if (!open) return reject(new FanoutError("Closed", "the WebSocket is closed"));
			refs += 1;
			waiting.set(refs, { resolve, reject, timer: deadline(String(frame.action)) });
			socket.send(JSON.stringify({ ...frame, ref: refs }));
		});
	const keepAlive = () => {
		pinger = clock.after(options.checkMs * (1 - options.random() / 10), () => {
			host.keepAlive().then(keepAlive, () => undefined); // a lost socket is told by `lost`
		});
	};

	socket.onopen = () => {
		dialing.cancel();
		keepAlive();
		host.opened();
	};
	socket.onerror = () => lose(failure("the WebSocket failed"));
	socket.onclose = () => lose(failure("the WebSocket was closed"));
	socket.onmessage = ({ data }: { readonly data: unknown }) => {
		try {
			const frame = readFrame(data);
			if (frame === undefined) return;
			if (frame.t === "end") return lose(ended(frame.reason));
			const ref = "ref" in frame ? frame.ref : undefined;
			const waiter = ref === undefined ? undefined : waiting.get(ref);
			if (ref === undefined || waiter === undefined) {
				return frame.t === "error" ? lose(refused(frame.code)) : host.frame(frame);
			}
			waiting.delete(ref);
			waiter.timer.cancel();
			if (frame.t === "error") waiter.reject(refused(frame.code));
			else waiter.resolve(frame);
		} catch (error) {
			lose(error as FanoutError);
		}
	};
	return {
		request,
		lose,
		close: () => {
			if (open) shut(new FanoutError("Closed", "the connection was closed"));
		},
	};
}
