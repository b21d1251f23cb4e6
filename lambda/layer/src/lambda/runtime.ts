/**
 * What Lambda's Node.js runtime offers for response streaming, as far as it is used here: a handler marked by
 * `streamifyResponse` gets a stream, and an HTTP answer's status and headers go before its first byte.
 */
import type { HttpHead } from "./http-event.ts";

export interface InvocationContext {
	getRemainingTimeInMillis(): number;
}

export interface ResponseStream {
	/** False when the reader is behind: `drain` says when to go on. */
	write(chunk: Uint8Array): boolean;
	end(done: () => void): unknown;
	destroy(): unknown;
	on(event: "drain" | "error" | "close", listener: () => void): unknown;
}

export type StreamingHandler = (event: unknown, stream: ResponseStream, context: InvocationContext) => Promise<void>;

export interface StreamingRuntime {
	streamifyResponse<Handler extends StreamingHandler>(handler: Handler): Handler;
	readonly HttpResponseStream: { from(stream: ResponseStream, head: HttpHead): ResponseStream };
}

/** Undefined where answers cannot be streamed: outside Lambda, or in another runtime. */
export function streamingRuntime(): StreamingRuntime | undefined {
	const { awslambda } = globalThis as unknown as { readonly awslambda?: Partial<StreamingRuntime> };
	const { streamifyResponse, HttpResponseStream } = awslambda ?? {};
	if (streamifyResponse === undefined || HttpResponseStream === undefined) return undefined;
	return { streamifyResponse, HttpResponseStream };
}
