/**
 * A response's body as an SSE stream for one client: it beats while nothing is said, and what waits for a client that
 * does not read is bounded: beyond it the stream breaks. The end of a lease ends it. `left` is called once when the
 * client is gone or was let go.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { isLeaseOver } from "../../core/lease.ts";

const HEARTBEAT_MS = 15_000;
export const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
const SSE_HEADERS = {
	"content-type": "text/event-stream",
	"cache-control": "no-cache, no-transform",
	"x-accel-buffering": "no",
} as const;

export interface BodyOptions {
	readonly clock: Clock;
	readonly headers: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
	left(): void;
}

export class SseBody {
	readonly response: Response;
	readonly #options: BodyOptions;
	#controller: ReadableStreamDefaultController<Uint8Array> | undefined;
	#timer: Timer | undefined;
	#isOver = false;

	constructor(options: BodyOptions) {
		this.#options = options;
		const source = {
			start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
				this.#controller = controller;
			},
			cancel: () => this.#over(),
		};
		const body = new ReadableStream<Uint8Array>(
			source,
			new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD_BYTES }),
		);
		this.response = new Response(body, { headers: { ...SSE_HEADERS, ...options.headers } });
		options.signal.addEventListener("abort", this.#aborted, { once: true });
		// Node's adapters send the head with the first chunk only.
		this.#enqueue(": open\n\n");
		this.#beat();
		// It left before there was a body: nobody would be told.
		if (options.signal.aborted) this.#aborted();
	}

	get isOver(): boolean {
		return this.#isOver;
	}

	write(json: string, id: string | undefined): void {
		this.#enqueue(`event: message\n${id === undefined ? "" : `id: ${id}\n`}data: ${json}\n\n`);
	}

	/** A frame that moves the client's cursor and says nothing, and how long it shall wait before it comes back. */
	prime(id: string, retryMs: number): void {
		this.#enqueue(`event: cursor\nid: ${id}\nretry: ${retryMs}\ndata: \n\n`);
	}

	close(): void {
		if (this.#isOver) return;
		this.#over();
		this.#controller?.close();
	}

	#beat(): void {
		this.#timer = this.#options.clock.after(HEARTBEAT_MS, () => {
			this.#enqueue(": hb\n\n");
			if (!this.#isOver) this.#beat();
		});
	}

	#enqueue(text: string): void {
		if (this.#isOver) return;
		if ((this.#controller?.desiredSize ?? 0) > 0) this.#controller?.enqueue(Buffer.from(text));
		else this.#break(`the client left ${MAX_UNREAD_BYTES} bytes unread`);
	}

	readonly #aborted = (): void => {
		if (isLeaseOver(this.#options.signal.reason)) this.close();
		else this.#break("the client has left");
	};

	#break(why: string): void {
		if (this.#isOver) return;
		this.#over();
		this.#controller?.error(new DOMException(why, "AbortError"));
	}

	#over(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#timer?.cancel();
		this.#options.signal.removeEventListener("abort", this.#aborted);
		this.#options.left();
	}
}
