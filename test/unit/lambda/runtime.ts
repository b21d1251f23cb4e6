/** The runtime's streaming in one process: what a handler writes, and a reader that can be slow or leave. */
import { EventEmitter } from "node:events";
import type {
	InvocationContext,
	ResponseStream,
	StreamingHandler,
	StreamingRuntime,
} from "../../../lambda/layer/src/lambda/runtime.ts";

const NULS = "\0".repeat(8);

export class FakeStream extends EventEmitter implements ResponseStream {
	text = "";
	isEnded = false;
	isDestroyed = false;
	/** Writes that are taken before the reader is behind. */
	room = Number.POSITIVE_INFINITY;
	onBeforeFirstWrite: (() => void) | undefined;

	write(chunk: Uint8Array): boolean {
		this.onBeforeFirstWrite?.();
		this.onBeforeFirstWrite = undefined;
		this.text += Buffer.from(chunk).toString();
		if (chunk.length > 0) this.room -= 1;
		return this.room > 0;
	}

	end(done: () => void): void {
		this.isEnded = true;
		if (this.room > 0) setImmediate(done);
	}

	destroy(): void {
		this.isDestroyed = true;
	}

	get head(): unknown {
		return JSON.parse(this.text.slice(0, this.text.indexOf(NULS)));
	}

	get body(): string {
		return this.text.slice(this.text.indexOf(NULS) + NULS.length);
	}
}

const MARK = Symbol.for("aws.lambda.runtime.handler.streaming");

const RUNTIME: StreamingRuntime = {
	streamifyResponse: (handler) => Object.assign(handler, { [MARK]: "response" }),
	HttpResponseStream: {
		from(stream, head) {
			(stream as FakeStream).onBeforeFirstWrite = () => {
				(stream as FakeStream).text += JSON.stringify(head) + NULS;
			};
			return stream;
		},
	},
};

/** Where a handler that is made now can stream. */
export function withRuntime<T>(make: () => T): T {
	const globals = globalThis as unknown as { awslambda?: unknown };
	globals.awslambda = RUNTIME;
	try {
		return make();
	} finally {
		delete globals.awslambda;
	}
}

export const isStreaming = (handler: unknown): boolean =>
	(handler as { readonly [MARK]?: unknown })[MARK] === "response";

export const lasting = (ms: number): InvocationContext => ({ getRemainingTimeInMillis: () => ms });

export function invoke(handler: unknown, event: unknown, ms = 30_000, stream = new FakeStream()) {
	const done = (handler as StreamingHandler)(event, stream, lasting(ms));
	return { stream, done };
}
