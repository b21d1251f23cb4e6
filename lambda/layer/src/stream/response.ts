/**
 * Client streams as server-sent events in a web-standard `Response`: a pull-based body, so that a reader that does not
 * read pushes back, and an abort of the request's signal or a cancelled body lets the stream go; who holds the connection
 * may give it a way out instead (core/outlet.ts). The end of a lease (core/lease.ts) ends it with `shutdown`.
 */
import { FanoutError } from "../core/errors.ts";
import { isLeaseOver } from "../core/lease.ts";
import { type Leaving, type Outlet, OutletStream } from "../core/outlet.ts";
import { signalOf } from "../core/request-signal.ts";
import { REFUSE_HEADER, SSE_HEADERS, SSE_HEARTBEAT, sseRetry } from "../core/sse.ts";
import type { HubStream } from "./client-stream.ts";
import { type Encoding, sseEncoding } from "./frames.ts";
import type { Hub } from "./hub.ts";
import type { ClientStream, StreamOptions } from "./port.ts";
import { refusalOf } from "./refusal.ts";
import type { Wire } from "./wire.ts";

export interface ResponseOptions extends StreamOptions {
	readonly headers?: Readonly<Record<string, string>>;
	/** Gets the stream, to change its filter or close it; also one that was refused and has ended. */
	readonly onStream?: (stream: ClientStream) => void;
	/** Default: that of streams that are ours. Who spells a stream otherwise answers refusals too, and gets a status. */
	readonly encoding?: Encoding;
}

/** Bytes that the body holds for its reader before it pushes back. */
const HIGH_WATER_BYTES = 64 * 1024;

class BodyWire implements Wire, Leaving {
	#pending = "";
	/** Flushed, for a reader who has not asked yet. */
	#kept = "";
	#isWanted = false;
	#isBlocked = false;
	#isOver = false;
	#failure: DOMException | undefined;
	#outlet: Outlet | undefined;
	#controller: ReadableStreamDefaultController<Uint8Array> | undefined;
	readonly body: ReadableStream<Uint8Array>;
	readonly #stream: HubStream;
	readonly #signal: AbortSignal;

	constructor(stream: HubStream, signal: AbortSignal, retryMs: number | undefined) {
		this.#stream = stream;
		this.#signal = signal;
		if (retryMs !== undefined) this.#pending = sseRetry(retryMs);
		const source = {
			start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
				this.#controller = controller;
			},
			pull: () => this.#pulled(),
			cancel: () => this.cancel(),
		};
		this.body = new OutletStream(source, this);
	}

	start(): void {
		this.#signal.addEventListener("abort", this.#aborted, { once: true });
		if (this.#signal.aborted) this.#aborted();
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
		if (text === "" || this.#isOver) return true;
		if (this.#outlet !== undefined) return this.#outlet.write(text);
		this.#kept += text;
		if (this.#isWanted) this.#hand();
		this.#isBlocked = this.#kept.length >= HIGH_WATER_BYTES;
		return !this.#isBlocked;
	}

	beat(): void {
		this.#pending += SSE_HEARTBEAT;
	}

	finish(): void {
		if (this.#isOver) return;
		if (this.#outlet !== undefined) {
			// Whoever holds the connection says when it is closed; until then it may still have to be destroyed.
			this.#outlet.end();
			return;
		}
		this.cancel();
		if (this.#kept === "") this.#controller?.close();
	}

	destroy(): void {
		if (this.#isOver) return;
		this.cancel();
		const failure = new DOMException("the stream was let go", "AbortError");
		this.#failure = failure;
		// Who aborts a request when its client leaves, and then cancels the body, is told of no error: Hono prints each.
		queueMicrotask(() => this.#controller?.error(failure));
		this.#outlet?.fail(failure);
	}

	readonly #aborted = (): void => {
		if (isLeaseOver(this.#signal.reason)) this.#stream.end("shutdown");
		else this.destroy();
	};

	leaveBy(outlet: Outlet): void {
		this.#outlet = outlet;
		if (this.#failure !== undefined) {
			outlet.fail(this.#failure);
			return;
		}
		const text = this.#kept;
		this.#kept = "";
		if (text === "" || outlet.write(text)) this.#makeRoom();
		if (this.#isOver) outlet.end();
	}

	room(): void {
		this.#stream.drained();
	}

	cancel(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#signal.removeEventListener("abort", this.#aborted);
		this.#stream.gone();
	}

	#pulled(): void {
		this.#isWanted = true;
		if (this.#kept !== "") this.#hand();
		if (!this.#isOver) this.#makeRoom();
		else if (this.#failure === undefined) this.#controller?.close();
	}

	#hand(): void {
		const text = this.#kept;
		this.#kept = "";
		this.#isWanted = false;
		this.#controller?.enqueue(Buffer.from(text, "latin1"));
	}

	#makeRoom(): void {
		if (!this.#isBlocked) return;
		this.#isBlocked = false;
		this.#stream.drained();
	}
}

/** Answers the request with a client stream; one that is refused becomes a 503, 403 or 400, or is sent on. */
export function openResponse(hub: Hub, request: Request, options: ResponseOptions): Response {
	let body: ReadableStream<Uint8Array> | undefined;
	let stream: HubStream;
	const { encoding = sseEncoding, retryMs } = options;
	try {
		// Whoever answers a HEAD drops the body unread, and the stream would stay.
		if (request.method === "HEAD") throw new FanoutError("Unsupported", "a response to HEAD cannot carry a stream");
		const lastEventId = options.lastEventId ?? request.headers.get("last-event-id") ?? undefined;
		stream = hub.open(lastEventId === undefined ? options : { ...options, lastEventId }, encoding, (opened) => {
			const wire = new BodyWire(opened, signalOf(request), retryMs);
			body = wire.body;
			return wire;
		});
	} catch (error) {
		const ours = options.encoding === undefined ? { refuse: request.headers.get(REFUSE_HEADER), retryMs } : undefined;
		const { status, headers, body: text, stream: ended } = refusalOf(error, ours);
		options.onStream?.(ended);
		return new Response(text, { status, headers: status === 200 ? { ...headers, ...options.headers } : headers });
	}
	try {
		options.onStream?.(stream);
	} catch (error) {
		// Nobody will read its body.
		stream.destroy();
		throw error;
	}
	return new Response(body, { headers: { ...SSE_HEADERS, ...options.headers } });
}
