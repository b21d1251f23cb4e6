/**
 * The answer to one POST of requests: waiting, then JSON when answers are all that is said, or an SSE stream from the
 * first other message on, or when it takes long; then ended. The client's leaving cancels nothing: its requests run
 * on, and what they say goes into the POST's log, if it has one, and else nowhere. The end of a lease ends the answer,
 * and so does that of the authorisation: each request that has none gets an error while it can still be told, unless
 * the authorisation is all that ended and the client can come back for the rest.
 */
import { at, type Clock, type Timer } from "../../core/clock.ts";
import { isLeaseOver } from "../../core/lease.ts";
import type { Response as Answer, Message, RequestId } from "../../core/message.ts";
import type { PostLog } from "./post-log.ts";
import { INTERNAL_ERROR } from "./refusal.ts";
import { SseBody } from "./sse-body.ts";
import type { Asker } from "./transport.ts";

export type ResponseMode = "auto" | "sse" | "json";

/** A slow answer's headers leave after this, so that nothing between takes its connection for dead. */
export const SSE_AFTER_MS = 500;

export interface PostOptions {
	readonly clock: Clock;
	readonly ids: readonly RequestId[];
	readonly isBatch: boolean;
	readonly mode: ResponseMode;
	readonly headers: Readonly<Record<string, string>>;
	readonly signal: AbortSignal;
	/** When the authorisation of who asked ends. */
	readonly expiresAtMs?: number | undefined;
	/** With one, the client may resume the stream after it broke. */
	readonly log?: PostLog | undefined;
	/** The stream's first frame is a cursor; needs a log. */
	readonly primes?: { readonly retryMs: number } | undefined;
}

interface Said<M extends Message = Message> {
	readonly message: M;
	readonly json: string;
}

/** Before anything is done with it: one that throws is kept nowhere, and thrown to whoever said it. */
const saidBy = <M extends Message>(message: M): Said<M> => ({ message, json: JSON.stringify(message) });

export class PostStream implements Asker {
	readonly response: Promise<Response>;
	readonly #options: PostOptions;
	readonly #pending: Set<RequestId>;
	readonly #answers: Said<Answer>[] = [];
	#resolve: (response: Response) => void = () => {};
	#body: SseBody | undefined;
	#timer: Timer | undefined;
	#expiry: Timer | undefined;
	/** It was answered in JSON, or the client left before anything was said. */
	#isOver = false;

	constructor(options: PostOptions) {
		const { clock, ids, mode, signal, expiresAtMs } = options;
		this.#options = options;
		this.#pending = new Set(ids);
		this.response = new Promise((resolve) => {
			this.#resolve = resolve;
		});
		// Before the body's own: what is said last must still find it open.
		signal.addEventListener("abort", this.#aborted, { once: true });
		if (mode === "sse") this.#stream();
		if (mode === "auto") this.#timer = clock.after(SSE_AFTER_MS, () => this.#stream());
		if (expiresAtMs !== undefined) this.#expiry = at(clock, expiresAtMs, () => this.#expire());
	}

	/** Throws when the answer is no JSON; the client has an error then. */
	answer(message: Answer): void {
		if (!this.#pending.delete(message.id as RequestId) || this.#isOver) return;
		try {
			this.#take(saidBy(message));
		} catch (error) {
			const code = INTERNAL_ERROR;
			this.#take(saidBy({ jsonrpc: "2.0", id: message.id, error: { code, message: "the answer is no JSON" } }));
			throw error;
		}
	}

	#take(answer: Said<Answer>): void {
		if (this.#body === undefined) this.#answers.push(answer);
		else this.#write(answer);
		this.#endIfDone();
	}

	say(message: Message): boolean {
		if (this.#isOver || this.#options.mode === "json") return false;
		return this.#write(saidBy(message));
	}

	get room(): Promise<void> | undefined {
		return this.#body?.room;
	}

	forget(id: RequestId): void {
		this.#pending.delete(id);
		this.#endIfDone();
	}

	/** Ends the response and not the requests: the client comes back for the rest. */
	pause(): void {
		if (this.#options.log !== undefined && !this.#isOver) this.#stream()?.close();
	}

	#endIfDone(): void {
		if (this.#pending.size > 0 || this.#isOver) return;
		const { isBatch, headers, log } = this.#options;
		const [only] = this.#answers;
		// Requests that were all cancelled have no answer, and so no JSON.
		if (this.#body === undefined && only !== undefined) {
			const json = isBatch ? `[${this.#answers.map((answer) => answer.json).join()}]` : only.json;
			this.#resolve(new Response(json, { headers: { ...headers, "content-type": "application/json" } }));
			this.#over();
			return;
		}
		this.#stream()?.close();
		this.#release();
		log?.end();
	}

	/** From here on the answer is a stream. */
	#stream(): SseBody | undefined {
		if (this.#body !== undefined || this.#isOver) return this.#body;
		const { clock, headers, signal, log, primes } = this.#options;
		this.#timer?.cancel();
		this.#body = new SseBody({ clock, headers, signal, left() {} });
		this.#resolve(this.#body.response);
		const first = log?.begin([...this.#pending, ...this.#answers.map(({ message }) => message.id as RequestId)]);
		if (first !== undefined && primes !== undefined) this.#body.prime(first, primes.retryMs);
		for (const answer of this.#answers.splice(0)) this.#write(answer);
		return this.#body;
	}

	/** False when neither the client nor a log takes it. */
	#write({ message, json }: Said): boolean {
		const body = this.#stream();
		const id = this.#options.log?.add(message);
		body?.write(json, id);
		return body?.isOver === false || id !== undefined;
	}

	readonly #aborted = (): void => {
		const { reason } = this.#options.signal;
		if (isLeaseOver(reason)) this.#giveUp("the time of the process that ran the request is over: call again");
		else this.#left();
	};

	#expire(): void {
		const { log, primes } = this.#options;
		if (log !== undefined && primes !== undefined) this.pause();
		else this.#giveUp("the authorisation has expired: call again");
	}

	#giveUp(message: string): void {
		const error = { code: -32_000, message };
		for (const id of [...this.#pending]) this.answer({ jsonrpc: "2.0", id, error });
	}

	#left(): void {
		if (this.#isOver || this.#body !== undefined) return;
		this.#over();
		this.#resolve(new Response(null, { status: 499 }));
	}

	#over(): void {
		this.#isOver = true;
		this.#release();
	}

	#release(): void {
		this.#timer?.cancel();
		this.#expiry?.cancel();
		this.#options.signal.removeEventListener("abort", this.#aborted);
	}
}
