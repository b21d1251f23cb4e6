/**
 * A client of this package's own SSE streams, by `fetch`, so that headers can carry authorisation. It reconnects with
 * Last-Event-ID, and stops reading while the consumer has not taken what is there. Status 204 and refusals (4xx but
 * 408 and 429) end it: asking again would get the same answer.
 */
import { fullJitter } from "../core/backoff.ts";
import { type Clock, pause } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { FanoutError } from "../core/errors.ts";
import { call } from "./call.ts";
import { clientClock } from "./clock.ts";
import { DEFAULT_BACKOFF } from "./options.ts";
import { createQueue } from "./queue.ts";
import { createSseParser, type SseEvent } from "./sse-parser.ts";

/** Our streams beat every 15 s: three missed beats are a dead connection. */
export const DEFAULT_IDLE_MS = 45_000;
/** Messages between the network and the consumer. */
const MAX_QUEUED = 256;

export interface SseDelivery {
	readonly message: Readonly<Record<string, unknown>>;
	/** The stream's cursor after the message. */
	readonly id: string | undefined;
	/** Something before this message is missing, and why. */
	readonly missing?: string;
}

export type SseClientEvent =
	| { readonly type: "open" }
	| { readonly type: "lost"; readonly error: FanoutError }
	| { readonly type: "missing"; readonly reason: string }
	/** The server ended the stream and said why; it is opened again. */
	| { readonly type: "ended"; readonly reason: string };

export interface ConnectSseOptions {
	/** Asked for before every request. */
	readonly headers?: (() => Record<string, string> | Promise<Record<string, string>>) | undefined;
	readonly lastEventId?: string | undefined;
	/** Called for every message; nothing is then left to iterate. */
	readonly onMessage?: ((delivery: SseDelivery) => void) | undefined;
	readonly onEvent?: ((event: SseClientEvent) => void) | undefined;
	readonly fetch?: typeof fetch | undefined;
	readonly idleMs?: number | undefined;
	readonly backoff?: { readonly baseMs: number; readonly capMs: number } | undefined;
	readonly clock?: Clock | undefined;
	/** A number in [0, 1). */
	readonly random?: (() => number) | undefined;
}

export interface SseConnection extends AsyncIterable<SseDelivery> {
	/** After the last message that the consumer took: pass it as `lastEventId` to go on from there. */
	readonly lastEventId: string | undefined;
	close(): void;
}

export function connectSse(url: string | URL, options: ConnectSseOptions = {}): SseConnection {
	const { clock = clientClock, random = Math.random, backoff = DEFAULT_BACKOFF, idleMs = DEFAULT_IDLE_MS } = options;
	const stop = new AbortController();
	const tell = (event: SseClientEvent) => call(options.onEvent, event);
	let taken = options.lastEventId;
	let received = taken;
	let missing: string | undefined;
	let room = Promise.withResolvers<void>();
	const queue = createQueue<SseDelivery>(MAX_QUEUED, options.onMessage, () => {
		room.resolve();
		room = Promise.withResolvers<void>();
	});

	function onSse({ event, data, id, isTooLong }: SseEvent): void {
		received = id;
		const commit = () => {
			taken = id;
		};
		const read = data === undefined ? undefined : objectOf(data);
		if (event === "message" && read !== undefined) {
			const value = { message: read, id };
			queue.push({ value: missing === undefined ? value : { ...value, missing }, commit });
			missing = undefined;
			return;
		}
		queue.push({ commit });
		const reason = String(read?.reason ?? "gap");
		if (event === "end") tell({ type: "ended", reason });
		// A message that cannot be read is missing: coming back for it would bring the same.
		else if (event === "mark" || (event === "message" && (isTooLong || (data ?? "") !== ""))) {
			missing = reason;
			tell({ type: "missing", reason });
		}
	}

	/** One request, until the stream is over; answers what the server asked to wait. */
	async function open(): Promise<number | undefined> {
		const cut = new AbortController();
		const signal = AbortSignal.any([stop.signal, cut.signal]);
		const idle = () => clock.after(idleMs, () => cut.abort(new Error(`nothing came for ${idleMs} ms`)));
		let watch = idle();
		try {
			const ask = async () => options.headers?.();
			const headers = new Headers(await withDeadline(clock, idleMs, "headers", ask, stop.signal));
			headers.set("Accept", "text/event-stream");
			if (received !== undefined && received !== "") headers.set("Last-Event-ID", received);
			const response = await (options.fetch ?? fetch)(url, { headers, signal, cache: "no-store" });
			const { status, body } = response;
			if (status !== 200 || body === null) throw refusal(status);
			const contentType = response.headers.get("Content-Type") ?? "";
			if (!/^text\/event-stream *(?:;|$)/i.test(contentType)) throw noStream(contentType);
			tell({ type: "open" });
			const parser = createSseParser(received);
			const text = new TextDecoder();
			const reader = body.getReader();
			for (let read = await reader.read(); !read.done; read = await reader.read()) {
				watch.cancel();
				for (const event of parser.push(text.decode(read.value, { stream: true }))) onSse(event);
				while (!queue.hasRoom && !stop.signal.aborted) await room.promise;
				watch = idle();
			}
			return parser.retryMs;
		} finally {
			watch.cancel();
			cut.abort();
		}
	}

	async function run(): Promise<void> {
		for (let failures = 0; !stop.signal.aborted; failures += 1) {
			const before = received;
			const startedAt = clock.monotonic();
			let waitMs: number | undefined;
			try {
				waitMs = await open();
			} catch (cause) {
				if (stop.signal.aborted) return;
				const error = cause instanceof FanoutError ? cause : lost(cause);
				tell({ type: "lost", error });
				if (!error.retryable) return queue.end(error.data.status === 204 ? undefined : error);
			}
			if (received !== before || clock.monotonic() - startedAt > backoff.capMs) failures = 0;
			await pause(clock, Math.max(waitMs ?? 0, fullJitter(failures, backoff, random)), stop.signal);
		}
	}

	run();
	return {
		get lastEventId() {
			return taken;
		},
		close() {
			stop.abort();
			room.resolve();
			queue.end();
		},
		[Symbol.asyncIterator]: () => queue[Symbol.asyncIterator](),
	};
}

/** Undefined for anything else: what a parser says of it would quote it. */
function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
	} catch {
		return undefined;
	}
}

function lost(cause: unknown): FanoutError {
	const detail = cause instanceof Error ? cause.message : String(cause);
	return new FanoutError("TransportUnavailable", `the stream was lost: ${detail}`, { cause, retryable: true });
}

/** What stands between may answer with a page of its own, and not for good. */
function noStream(contentType: string): FanoutError {
	const message = `the server answered ${JSON.stringify(contentType)}, which is no event stream`;
	return new FanoutError("TransportUnavailable", message, { retryable: true, data: { contentType } });
}

function refusal(status: number): FanoutError {
	const isFinal = status === 204 || (status >= 400 && status < 500 && status !== 408 && status !== 429);
	return new FanoutError(isFinal ? "TransportRefused" : "TransportUnavailable", `the server answered ${status}`, {
		retryable: !isFinal,
		data: { status },
	});
}
