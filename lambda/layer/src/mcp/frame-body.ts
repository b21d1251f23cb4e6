/**
 * The body of a listen's response: its frames in order, at most MAX_FRAMES of which wait for the client (P6). A frame is
 * text whose characters are bytes. Who holds the connection gives them a way out (core/outlet.ts); who iterates, as the
 * SDK's adapter for Node does, takes them from here; who reads a stream gets them through one, a frame for each read. The
 * machinery of a web stream costs more than the rest of a delivery.
 */
import { type Leaving, type Outlet, OutletStream } from "../core/outlet.ts";

export const MAX_FRAMES = 64;

type Taken = IteratorResult<Uint8Array, undefined>;
const DONE: Taken = { value: undefined, done: true };

export interface FrameHost {
	/** A frame was taken: there is room for what waits elsewhere. */
	refill(): void;
	/** The client went away. */
	cancel(reason: unknown): Promise<void> | undefined;
}

export class FrameBody implements Leaving {
	readonly #host: FrameHost;
	/** Made when something waits: most of the time nothing does. */
	#waiting: string[] | undefined;
	/** Who iterates and waits, or the stream that has a read to answer; nothing waits here then. */
	#taker: ((taken: Taken | Promise<never>) => void) | undefined;
	#wake: (() => void) | undefined;
	#controller: ReadableStreamDefaultController<Uint8Array> | undefined;
	#outlet: Outlet | undefined;
	/** What is pushed waits, behind what does already. */
	#isBlocked = false;
	#isEnded = false;
	#failure: { readonly error: unknown } | undefined;

	constructor(host: FrameHost) {
		this.#host = host;
	}

	get hasRoom(): boolean {
		return this.#waiting === undefined || this.#waiting.length < MAX_FRAMES;
	}

	push(frame: string): void {
		if (this.#isEnded) return;
		const taker = this.#taker;
		if (this.#outlet !== undefined && !this.#isBlocked) {
			this.#isBlocked = !this.#outlet.write(frame);
		} else if (taker !== undefined) {
			this.#taker = undefined;
			taker({ value: bytesOf(frame), done: false });
		} else if (this.#wake !== undefined) {
			this.#controller?.enqueue(bytesOf(frame));
			this.#answered();
		} else if (this.#waiting === undefined) this.#waiting = [frame];
		else this.#waiting.push(frame);
	}

	/** What waits is still handed out. */
	end(): void {
		if (this.#isEnded) return;
		this.#isEnded = true;
		if (this.#isBlocked) this.#outlet?.ending();
		else this.#outlet?.end();
		this.#taker?.(DONE);
		this.#taker = undefined;
		if (this.#waiting === undefined) this.#controller?.close();
		this.#answered();
	}

	fail(error: unknown): void {
		if (this.#isEnded) return;
		this.#isEnded = true;
		this.#failure = { error };
		this.#waiting = undefined;
		this.#outlet?.fail(error);
		this.#taker?.(Promise.reject(error));
		this.#taker = undefined;
		this.#controller?.error(error);
		this.#answered();
	}

	// For who holds the connection.

	leaveBy(outlet: Outlet): void {
		this.#outlet = outlet;
		this.room();
		if (this.#failure !== undefined) outlet.fail(this.#failure.error);
	}

	room(): void {
		// What `refill` pushes meanwhile stands behind what waits.
		this.#isBlocked = true;
		for (let frame = this.#take(); frame !== undefined; frame = this.#take()) {
			if (this.#outlet?.write(frame) !== true) return;
		}
		this.#isBlocked = false;
		if (this.#isEnded && this.#failure === undefined) this.#outlet?.end();
	}

	// For who iterates.

	next(): Promise<Taken> {
		const frame = this.#take();
		if (frame !== undefined) return Promise.resolve({ value: bytesOf(frame), done: false });
		if (this.#failure !== undefined) return Promise.reject(this.#failure.error);
		if (this.#isEnded) return Promise.resolve(DONE);
		return new Promise((resolve) => {
			this.#taker = resolve;
		});
	}

	async return(): Promise<Taken> {
		await this.cancel(undefined);
		return DONE;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	// For the stream.

	start(controller: ReadableStreamDefaultController<Uint8Array>): void {
		this.#controller = controller;
	}

	/** Stays pending while nothing waits. */
	pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> | undefined {
		const frame = this.#take();
		if (frame !== undefined) controller.enqueue(bytesOf(frame));
		if (this.#isEnded && this.#waiting === undefined) controller.close();
		if (frame !== undefined || this.#isEnded) return undefined;
		return new Promise((resolve) => {
			this.#wake = resolve;
		});
	}

	cancel(reason?: unknown): Promise<void> | undefined {
		this.#isEnded = true;
		this.#waiting = undefined;
		// Who iterates past the stream does not lock it: it may be cancelled all the same.
		this.#taker?.(DONE);
		this.#taker = undefined;
		this.#answered();
		return this.#host.cancel(reason);
	}

	#take(): string | undefined {
		const waiting = this.#waiting;
		if (waiting === undefined) return undefined;
		const frame = waiting.shift();
		if (waiting.length === 0) this.#waiting = undefined;
		this.#host.refill();
		return frame;
	}

	#answered(): void {
		this.#wake?.();
		this.#wake = undefined;
	}
}

const bytesOf = (frame: string): Uint8Array => Buffer.from(frame, "latin1");

/** The stream of a body; iterating it goes past the stream. A class, since ten thousand of them count every closure. */
export class FrameStream extends OutletStream {
	readonly #body: FrameBody;

	constructor(body: FrameBody) {
		super(body, body);
		this.#body = body;
	}

	/** @internal Not in the declarations: where TypeScript 5 has the DOM's streams these have no such method. */
	override values(options?: { preventCancel?: boolean }): ReturnType<ReadableStream<Uint8Array>["values"]> {
		const isPlain = !this.locked && options?.preventCancel !== true;
		return isPlain ? (this.#body as unknown as ReturnType<typeof this.values>) : super.values(options);
	}

	/** @internal */
	override [Symbol.asyncIterator](): ReturnType<ReadableStream<Uint8Array>["values"]> {
		return this.values();
	}
}
