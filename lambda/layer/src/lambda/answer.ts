/**
 * The two ways in which an invocation answers: as one value, or as a stream of its own. Both read the app's body only
 * as fast as it is taken, and end it where it is when they are cut: a stream then ends early, one value is a refusal.
 */
import { type Clock, pause } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { type HttpResult, headOf, resultOf } from "./http-event.ts";
import { refuseLate } from "./refusal.ts";
import type { ResponseStream, StreamingRuntime } from "./runtime.ts";

/** Lambda's own limit on an answer is 6 MB, base64 included. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;
/** How long a stream's last bytes may wait for their reader. */
const END_TIMEOUT_MS = 1_000;

export interface Answer {
	/** Whether the client sees what is written before the answer's end. */
	readonly isStreaming: boolean;
	/** Takes the response, body and all. `gone` is called when nobody can take it any more. */
	send(response: Response, cut: AbortSignal, gone: () => void): Promise<void>;
	end(): Promise<void>;
}

async function readBody(
	body: ReadableStream<Uint8Array>,
	cut: AbortSignal,
	take: (chunk: Uint8Array) => Promise<void> | undefined,
): Promise<void> {
	const reader = body.getReader();
	// Ends what is read at its source. What its cleanup throws is not ours to answer.
	const stop = () => void reader.cancel(cut.reason).catch(() => undefined);
	cut.addEventListener("abort", stop, { once: true });
	if (cut.aborted) stop();
	try {
		for (let read = await reader.read(); !read.done; read = await reader.read()) await take(read.value);
	} finally {
		cut.removeEventListener("abort", stop);
		stop();
	}
}

export interface WholeAnswer extends Answer {
	readonly result: HttpResult | undefined;
}

export function createWholeAnswer(event: unknown): WholeAnswer {
	let result: HttpResult | undefined;
	return {
		isStreaming: false,
		get result() {
			return result;
		},
		async send(response, cut) {
			const chunks: Uint8Array[] = [];
			let size = 0;
			if (response.body !== null) {
				await readBody(response.body, cut, (chunk) => {
					size += chunk.byteLength;
					if (size > MAX_RESPONSE_BYTES) {
						throw new FanoutError("PayloadTooLarge", `a response of over ${MAX_RESPONSE_BYTES} bytes`, {
							data: { maxBytes: MAX_RESPONSE_BYTES },
						});
					}
					chunks.push(chunk);
					return undefined;
				});
			}
			// Nothing of it has left yet: a part under the whole one's status would be taken for the whole.
			if (response.body !== null && cut.aborted) {
				const refusal = refuseLate();
				result = resultOf(event, refusal, new Uint8Array(await refusal.arrayBuffer()));
			} else result = resultOf(event, response, Buffer.concat(chunks));
		},
		async end() {},
	};
}

export function createStreamAnswer(
	event: unknown,
	stream: ResponseStream,
	{ HttpResponseStream }: StreamingRuntime,
	clock: Clock,
): Answer {
	let isGone = false;
	return {
		isStreaming: true,
		async send(response, cut, gone) {
			let wake: (() => void) | undefined;
			const left = () => {
				isGone = true;
				gone();
				wake?.();
			};
			const out = HttpResponseStream.from(stream, headOf(event, response));
			out.on("error", left);
			out.on("close", left);
			out.on("drain", () => wake?.());
			cut.addEventListener("abort", () => wake?.(), { once: true });
			// The head goes with the first write: it must not wait for a stream's first byte, nor be lost with an empty body.
			out.write(new Uint8Array(0));
			if (response.body === null) return;
			await readBody(response.body, cut, (chunk) => {
				if (isGone || out.write(chunk)) return undefined;
				return new Promise<void>((resolve) => {
					wake = resolve;
					if (cut.aborted) resolve();
				});
			});
		},
		async end() {
			if (isGone) return;
			const late = new AbortController();
			const done = new Promise<void>((resolve) => stream.end(resolve));
			const isLate = pause(clock, END_TIMEOUT_MS, late.signal, true).then(() => !late.signal.aborted);
			await Promise.race([done, isLate]);
			late.abort();
			if (await isLate) stream.destroy();
		},
	};
}
