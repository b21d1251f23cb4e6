/**
 * A Lambda handler of anything with a `fetch`. Before it returns, whatever was published through the fanout has been
 * accepted or has failed: a frozen environment sends nothing. It answers shortly before the function's deadline at
 * the latest: a response that is still open is then cut where it is.
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { FanoutError, isFanoutError } from "../core/errors.ts";
import { type HttpResult, requestOf, resultOf } from "./http-event.ts";

/** Kept free before the function's deadline, for the flush and the answer. */
export const DEFAULT_MARGIN_MS = 2_000;
export const DEFAULT_FLUSH_TIMEOUT_MS = 5_000;
/** Lambda's own limit on an answer is 6 MB, base64 included. */
export const MAX_RESPONSE_BYTES = 4 * 1024 * 1024;

export interface FetchApp {
	fetch(request: Request): Response | Promise<Response>;
}

export interface StreamifyOptions {
	readonly fanout: { flush(): Promise<unknown> };
	readonly marginMs?: number;
	readonly flushTimeoutMs?: number;
	/** Told when the flush failed or the response was cut; the answer is sent all the same. */
	readonly onerror?: (error: FanoutError) => void;
	readonly clock?: Clock;
}

export interface InvocationContext {
	getRemainingTimeInMillis(): number;
}

export type LambdaHandler = (event: unknown, context: InvocationContext) => Promise<HttpResult>;

async function readBytes(response: Response, signal: AbortSignal): Promise<{ bytes: Uint8Array; isCut: boolean }> {
	if (response.body === null) return { bytes: new Uint8Array(), isCut: false };
	const reader = response.body.getReader();
	const cut = Promise.withResolvers<"cut">();
	const onAbort = () => cut.resolve("cut");
	signal.addEventListener("abort", onAbort, { once: true });
	if (signal.aborted) onAbort();
	const chunks: Uint8Array[] = [];
	let size = 0;
	try {
		for (;;) {
			const next = await Promise.race([reader.read(), cut.promise]);
			if (next === "cut") return { bytes: Buffer.concat(chunks), isCut: true };
			if (next.done) return { bytes: Buffer.concat(chunks), isCut: false };
			size += next.value.byteLength;
			if (size > MAX_RESPONSE_BYTES) {
				throw new FanoutError("PayloadTooLarge", `a response of over ${MAX_RESPONSE_BYTES} bytes`, {
					data: { maxBytes: MAX_RESPONSE_BYTES },
				});
			}
			chunks.push(next.value);
		}
	} finally {
		signal.removeEventListener("abort", onAbort);
		// Ends an open stream at its source; a finished one is left alone. What its cleanup throws is not ours to answer.
		reader.cancel().catch(() => {});
	}
}

export function streamify(app: FetchApp, options: StreamifyOptions): LambdaHandler {
	const clock = options.clock ?? systemClock;
	const marginMs = options.marginMs ?? DEFAULT_MARGIN_MS;
	const flushTimeoutMs = options.flushTimeoutMs ?? DEFAULT_FLUSH_TIMEOUT_MS;
	const onerror =
		options.onerror ?? ((error: FanoutError) => console.error(`mcp-fanout: ${error.code}: ${error.message}`));

	async function flush(): Promise<void> {
		try {
			await withDeadline(clock, flushTimeoutMs, "flushing before the invocation ends", () => options.fanout.flush());
		} catch (cause) {
			onerror(
				isFanoutError(cause)
					? cause
					: new FanoutError("AllBroadcastersFailed", "what was published may be lost", { cause }),
			);
		}
	}

	return async (event, context) => {
		const controller = new AbortController();
		const remainingMs = Math.max(context.getRemainingTimeInMillis() - marginMs, 1);
		const timer = clock.after(remainingMs, () => controller.abort());
		try {
			const late = () => new FanoutError("DeadlineExceeded", `no response within ${remainingMs} ms`);
			const response = await Promise.race([
				app.fetch(requestOf(event, controller.signal)),
				new Promise<never>((_, reject) => controller.signal.addEventListener("abort", () => reject(late()))),
			]);
			const { bytes, isCut } = await readBytes(response, controller.signal);
			if (isCut) onerror(new FanoutError("DeadlineExceeded", `a response was cut after ${remainingMs} ms`));
			return resultOf(event, response, bytes);
		} finally {
			timer.cancel();
			await flush();
		}
	};
}
