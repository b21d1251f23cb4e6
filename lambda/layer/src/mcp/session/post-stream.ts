/**
 * The answer to one POST of requests: waiting, then JSON when answers are all that is said, or an SSE stream from the
 * first other message on, or when it takes long; then ended. What waits for a client that does not read is bounded:
 * beyond it the stream breaks. The client's leaving cancels nothing; its requests run on and their answers go nowhere.
 */
import type { Clock, Timer } from "../../core/clock.ts";
import type { Response as Answer, Message, RequestId } from "../../core/message.ts";
import type { Asker } from "./transport.ts";

export type ResponseMode = "auto" | "sse" | "json";

/** A slow answer's headers leave after this, so that nothing between takes its connection for dead. */
export const SSE_AFTER_MS = 500;
const HEARTBEAT_MS = 15_000;
export const MAX_UNREAD_BYTES = 4 * 1024 * 1024;
export const SSE_HEADERS = {
	"content-type": "text/event-stream",
	"cache-control": "no-cache, no-transform",
	"x-accel-buffering": "no",
} as const;

export interface PostOptions {
	readonly clock: Clock;
	readonly ids: readonly RequestId[];
	readonly isBatch: boolean;
	readonly mode: ResponseMode;
	readonly headers: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
}

const NOBODY = { cancel() {} };

export class PostStream implements Asker {
	readonly response: Promise<Response>;
	readonly #options: PostOptions;
	readonly #pending: Set<RequestId>;
	readonly #answers: Answer[] = [];
	#resolve: (response: Response) => void = () => {};
	#controller: ReadableStreamDefaultController<Uint8Array> | undefined;
	#timer: Timer = NOBODY;
	#isOver = false;

	constructor(options: PostOptions) {
		const { clock, ids, mode, signal } = options;
		this.#options = options;
		this.#pending = new Set(ids);
		this.response = new Promise((resolve) => {
			this.#resolve = resolve;
		});
		signal.addEventListener("abort", this.#left, { once: true });
		if (mode === "sse") this.#stream();
		else if (mode === "auto") this.#timer = clock.after(SSE_AFTER_MS, () => this.#stream());
	}

	answer(message: Answer): void {
		this.#pending.delete(message.id as RequestId);
		if (this.#isOver) return;
		if (this.#controller === undefined) this.#answers.push(message);
		else this.#write(message);
		this.#endIfDone();
	}

	say(message: Message): boolean {
		if (this.#isOver || this.#options.mode === "json") return false;
		this.#stream();
		this.#write(message);
		return !this.#isOver;
	}

	forget(id: RequestId): void {
		this.#pending.delete(id);
		this.#endIfDone();
	}

	#endIfDone(): void {
		if (this.#pending.size > 0 || this.#isOver) return;
		const { isBatch, headers } = this.#options;
		const [only] = this.#answers;
		// Requests that were all cancelled have no answer, and so no JSON.
		if (this.#controller === undefined && only !== undefined) {
			this.#resolve(Response.json(isBatch ? this.#answers : only, { headers }));
			this.#over();
			return;
		}
		this.#stream();
		this.#over();
		this.#controller?.close();
	}

	/** From here on the answer is a stream. */
	#stream(): void {
		if (this.#controller !== undefined || this.#isOver) return;
		const body = new ReadableStream<Uint8Array>(
			{
				start: (controller) => {
					this.#controller = controller;
				},
				cancel: () => this.#over(),
			},
			new ByteLengthQueuingStrategy({ highWaterMark: MAX_UNREAD_BYTES }),
		);
		this.#resolve(new Response(body, { headers: { ...SSE_HEADERS, ...this.#options.headers } }));
		// Node's adapters send the head with the first chunk only.
		this.#enqueue(": open\n\n");
		for (const answer of this.#answers.splice(0)) this.#write(answer);
		this.#beat();
	}

	#beat(): void {
		this.#timer.cancel();
		this.#timer = this.#options.clock.after(HEARTBEAT_MS, () => {
			this.#enqueue(": hb\n\n");
			this.#beat();
		});
	}

	#write(message: Message): void {
		this.#enqueue(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
	}

	#enqueue(text: string): void {
		const controller = this.#controller;
		if (this.#isOver || controller === undefined) return;
		const isFull = (controller.desiredSize ?? 0) <= 0;
		if (!isFull) {
			controller.enqueue(Buffer.from(text));
			return;
		}
		this.#over();
		controller.error(new DOMException(`the client left ${MAX_UNREAD_BYTES} bytes unread`, "AbortError"));
	}

	readonly #left = (): void => {
		if (this.#isOver) return;
		const controller = this.#controller;
		this.#over();
		if (controller === undefined) this.#resolve(new Response(null, { status: 499 }));
		else controller.error(new DOMException("the client has left", "AbortError"));
	};

	#over(): void {
		this.#isOver = true;
		this.#timer.cancel();
		this.#options.signal.removeEventListener("abort", this.#left);
	}
}
