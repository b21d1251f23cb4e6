/**
 * A response's body that leaves past web streams: whoever holds the connection gives the body a way out, and each frame
 * is written by the call that made it. Found by a symbol, so that the body of another copy of this package is known too.
 */
import type { UnderlyingSource } from "node:stream/web";

export interface Outlet {
	/** Each character is a byte. False when the connection pushes back: `room` is to be called when it takes more. */
	write(text: string): boolean;
	/** No more is made: what waits is all that is left, and is not waited for without an end. */
	ending(): void;
	/** After the last frame, once. */
	end(): void;
	/** The body broke: what the client has is not all of it. */
	fail(error: unknown): void;
}

/** What makes a body's frames, for whoever takes them. */
export interface Leaving {
	/** What waits goes first. */
	leaveBy(outlet: Outlet): void;
	room(): void;
	/** The client went away. */
	cancel(): unknown;
}

const LEAVING = Symbol.for("mcp-fanout.leaving");

/** A body that may leave so; it is read as a stream by who cannot, and then nothing waits in the stream itself. */
export class OutletStream extends ReadableStream<Uint8Array> {
	readonly [LEAVING]: Leaving;

	constructor(source: UnderlyingSource<Uint8Array>, leaving: Leaving) {
		super(source, { highWaterMark: 0 });
		this[LEAVING] = leaving;
	}
}

/** Undefined when the body has no such way, or is read already. */
export function leavingOf(body: ReadableStream<Uint8Array>): Leaving | undefined {
	return body.locked ? undefined : (body as { readonly [LEAVING]?: Leaving })[LEAVING];
}
