/**
 * Client streams as server-sent events on node:http. Headers leave at once; frames straight to the socket where that is
 * plain HTTP/1.1, and on anything else (HTTP/1.0, HTTP/2, a pipelined or wrapped response) by `res.write`. A connection
 * ends with its stream: on one that is kept a client would come back to the very process that sends it away.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { chunkOf, directSocket } from "../core/chunked.ts";
import { FanoutError } from "../core/errors.ts";
import { isLost, whenOver } from "../core/response-end.ts";
import { REFUSE_HEADER, SSE_HEADERS, SSE_HEARTBEAT, sseRetry } from "../core/sse.ts";
import type { HubStream } from "./client-stream.ts";
import { sseEncoding } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { ClientStream, StreamOptions } from "./port.ts";
import { refusalOf } from "./refusal.ts";
import type { Wire } from "./wire.ts";

class SseWire implements Wire {
	#pending = "";
	#onDrain: (() => void) | undefined;
	readonly #stream: HubStream;
	readonly #res: ServerResponse;
	#socket: Socket | undefined;

	constructor(stream: HubStream, res: ServerResponse, retryMs: number | undefined) {
		this.#stream = stream;
		this.#res = res;
		if (retryMs !== undefined) this.#pending = sseRetry(retryMs);
	}

	start(): void {
		const res = this.#res;
		if (isLost(res) || res.writableEnded) {
			this.#stream.gone();
			return;
		}
		whenOver(res, () => {
			if (this.#onDrain !== undefined) this.#target.off("drain", this.#onDrain);
			this.#stream.gone();
		});
		res.writeHead(200, SSE_HEADERS);
		res.flushHeaders();
		this.#socket = directSocket(res);
	}

	get size(): number {
		return this.#pending.length;
	}

	append(frame: string): void {
		this.#pending += frame;
	}

	flush(): boolean {
		const text = this.#pending;
		this.#pending = "";
		// After the client's FIN, or when the application ended the response itself, `close` is about to follow.
		if (text === "" || !this.#target.writable || this.#res.writableEnded) return true;
		if (this.#write(text)) return true;
		if (this.#onDrain === undefined) {
			this.#onDrain = () => {
				this.#onDrain = undefined;
				this.#stream.drained();
			};
			this.#target.once("drain", this.#onDrain);
		}
		return false;
	}

	beat(): void {
		this.#pending += SSE_HEARTBEAT;
	}

	finish(): void {
		this.#res.end();
	}

	destroy(): void {
		this.#res.destroy();
	}

	get #target(): Socket | ServerResponse {
		return this.#socket ?? this.#res;
	}

	#write(text: string): boolean {
		if (this.#socket === undefined) return this.#res.write(text, "latin1");
		return this.#socket.write(chunkOf(text), "latin1");
	}
}

/** Opens a client stream on this response; one that is refused, or sent on, is answered here and has ended. */
export function openSse(hub: Hub, req: IncomingMessage, res: ServerResponse, options: StreamOptions): ClientStream {
	if (res.headersSent) throw new FanoutError("Unsupported", "the response's headers are sent already");
	let stream: HubStream;
	const { retryMs } = options;
	res.shouldKeepAlive = false;
	try {
		if (req.method === "HEAD") throw new FanoutError("Unsupported", "a response to HEAD cannot carry a stream");
		const header = req.headers["last-event-id"];
		const lastEventId = options.lastEventId ?? (typeof header === "string" ? header : undefined);
		const request = lastEventId === undefined ? options : { ...options, lastEventId };
		stream = hub.open(request, sseEncoding, (opened) => new SseWire(opened, res, retryMs));
	} catch (error) {
		const refusal = refusalOf(error, { refuse: req.headers[REFUSE_HEADER], retryMs });
		const { status, headers, body, stream: ended } = refusal;
		res.writeHead(status, headers).end(body);
		return ended;
	}
	return stream;
}
