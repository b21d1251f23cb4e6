/**
 * A response's body as an SSE stream for one client: it beats while nothing is said. What waits for the client is
 * bounded: who writes much is told to wait while more than HIGH_WATER_BYTES are unread (`room`), and who does not wait
 * breaks the stream at MAX_UNREAD_BYTES; so does a client that took nothing for MAX_STALL_MS while somebody waited.
 * The end of a lease ends it. `left` is called once when the client is gone or was let go.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import { isLeaseOver } from "../../core/lease.ts";
import { SSE_HEADERS, SSE_HEARTBEAT } from "../../core/sse.ts";

const HEARTBEAT_MS = 15_000;
const HIGH_WATER_BYTES = 1024 * 1024;
export const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
export const MAX_STALL_MS = 60_000;

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
	#room: PromiseWithResolvers<void> | undefined;
	#stall: Timer | undefined;
	#isOver = false;

	constructor(options: BodyOptions) {
		this.#options = options;
		const source = {
			start: (controller: ReadableStreamDefaultController<Uint8Array>) => {
				this.#controller = controller;
			},
			pull: () => this.#makeRoom(),
			cancel: () => this.#over(),
		};
		const body = new ReadableStream<Uint8Array>(
			source,
			new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_BYTES }),
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

	/** What to wait for before more is written: the client, unless it has left; undefined when there is room. */
	get room(): Promise<void> | undefined {
		if (this.#isOver || this.#left > 0) return undefined;
		if (this.#room === undefined) {
			this.#room = Promise.withResolvers();
			this.#watch(this.#left);
		}
		return this.#room.promise;
	}

	/** Bytes that may still be written before writers wait; less than nothing while they do. */
	get #left(): number {
		return this.#controller?.desiredSize ?? 0;
	}

	#watch(before: number): void {
		this.#stall = this.#options.clock.after(MAX_STALL_MS, () => {
			if (this.#left > before) this.#watch(this.#left);
			else this.#break(`the client took nothing for ${MAX_STALL_MS} ms`);
		});
	}

	#makeRoom(): void {
		this.#stall?.cancel();
		this.#room?.resolve();
		this.#room = undefined;
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
			this.#enqueue(SSE_HEARTBEAT);
			if (!this.#isOver) this.#beat();
		});
	}

	#enqueue(text: string): void {
		if (this.#isOver) return;
		if (this.#left > HIGH_WATER_BYTES - MAX_UNREAD_BYTES) this.#controller?.enqueue(Buffer.from(text));
		else this.#break(`the client left ${MAX_UNREAD_BYTES} bytes unread`);
	}

	readonly #aborted = (): void => {
		if (isLeaseOver(this.#options.signal.reason)) this.close();
		else this.#break("the client has left");
	};

	#break(why: string): void {
		if (this.#isOver) return;
		this.#over();
		// Who aborts a request when its client leaves, and then cancels the body, is told of no error: Hono prints each.
		queueMicrotask(() => this.#controller?.error(new DOMException(why, "AbortError")));
	}

	#over(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#timer?.cancel();
		this.#makeRoom();
		this.#options.signal.removeEventListener("abort", this.#aborted);
		this.#options.left();
	}
}
