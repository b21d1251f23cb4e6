/**
 * Opens one WebSocket with Node's own client. That client says neither why a handshake failed nor lets go of a peer
 * that answers no close (a half-open connection would hold the process for ever), so the HTTP client's documented
 * diagnostics channels are watched while it dials: they tell the status, the error and the TCP socket, by request path.
 * Where they say nothing, the WebSocket is used as it is.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { FanoutError } from "../../core/errors.ts";

export type WebSocketClass = new (url: string) => WebSocket;

export interface Dialled {
	readonly socket: WebSocket;
	/** Says goodbye and waits for the peer's answer, for as long as the signal allows. */
	hangUp(until: AbortSignal): Promise<void>;
	/** Lets go at once. */
	drop(): void;
}

interface Told {
	readonly request?: { readonly path?: string };
	readonly response?: { readonly statusCode?: number };
	readonly error?: Error;
	readonly socket?: { destroy(): unknown };
	readonly connectParams?: { readonly host?: string };
}

const CHANNELS = [
	"undici:client:sendHeaders",
	"undici:request:headers",
	"undici:request:error",
	"undici:client:connectError",
] as const;

function watch(url: URL) {
	const path = url.pathname + url.search;
	const seen: { status?: number; error?: Error; socket?: { destroy(): unknown } } = {};
	const listener = (message: unknown) => {
		const told = message as Told;
		if (told.request === undefined ? told.connectParams?.host !== url.host : told.request.path !== path) return;
		if (told.socket !== undefined) seen.socket = told.socket;
		if (told.response?.statusCode !== undefined) seen.status = told.response.statusCode;
		if (told.error !== undefined) seen.error = told.error;
	};
	for (const name of CHANNELS) subscribe(name, listener);
	return {
		seen,
		stop: () => {
			for (const name of CHANNELS) unsubscribe(name, listener);
		},
	};
}

/** `url` is unique to this attempt. The error never repeats its query: that is a credential. */
export function dial(url: URL, WebSocketImpl: WebSocketClass, signal: AbortSignal): Promise<Dialled> {
	const { seen, stop } = watch(url);
	const where = `${url.protocol}//${url.host}${url.pathname}`;
	return new Promise<Dialled>((resolve, reject) => {
		const socket = new WebSocketImpl(url.href);
		const dialled: Dialled = {
			socket,
			drop: () => {
				socket.close();
				seen.socket?.destroy();
			},
			hangUp: (until) =>
				new Promise((done) => {
					const gone = () => {
						until.removeEventListener("abort", gone);
						dialled.drop();
						done();
					};
					if (socket.readyState === socket.CLOSED || until.aborted) return gone();
					socket.addEventListener("close", gone, { once: true });
					until.addEventListener("abort", gone, { once: true });
					socket.close();
				}),
		};
		const failed = () => {
			const { status, error } = seen;
			const why =
				status !== undefined && status !== 101 ? `status ${status}` : (error?.message ?? "the connection failed");
			settle();
			reject(
				new FanoutError("TransportUnavailable", `${where} did not accept a WebSocket: ${why}`, {
					cause: error,
					retryable: status === undefined || status >= 500 || status === 429,
					data: { endpoint: where, ...(status === undefined ? {} : { status }) },
				}),
			);
		};
		const aborted = () => {
			settle();
			dialled.drop();
			reject(signal.reason);
		};
		const opened = () => {
			settle();
			resolve(dialled);
		};
		const settle = () => {
			stop();
			signal.removeEventListener("abort", aborted);
			socket.removeEventListener("close", failed);
			socket.removeEventListener("open", opened);
		};
		socket.addEventListener("open", opened);
		socket.addEventListener("close", failed);
		signal.addEventListener("abort", aborted, { once: true });
		if (signal.aborted) aborted();
	});
}
