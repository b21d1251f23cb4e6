/**
 * A Lambda handler of anything with a `fetch`. Answers are streamed where the runtime can. Transports are followed only
 * while a stream is held, and everything is closed before the invocation returns: a frozen environment sends nothing
 * and reads nothing. A held stream is a lease: it ends a margin before the function's deadline, MCP listens without a
 * result and our own streams with a reason, so that their clients come back. Whatever was published has been accepted
 * or has failed before the answer ends. What the app throws fails the invocation.
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { type Answer, createStreamAnswer, createWholeAnswer } from "./answer.ts";
import { type HttpResult, requestOf } from "./http-event.ts";
import { Invocation } from "./invocation.ts";
import { holdsStream, refuseAlways, refuseNow } from "./refusal.ts";
import { type InvocationContext, streamingRuntime } from "./runtime.ts";

/** Kept free before the function's deadline, for the end of streams, the flush and the answer. */
export const DEFAULT_MARGIN_MS = 2_000;
export const DEFAULT_FLUSH_TIMEOUT_MS = 5_000;
export const DEFAULT_MAX_STREAMS = 1_000;
/** Kept free for the answer's end. */
const LAST_MS = 100;

/** What a request does not say: who API Gateway's authorizer found it to be, for one. */
export interface LambdaInfo {
	readonly event: unknown;
	readonly context: InvocationContext;
	/** Where MCP handlers look for whom they serve: it is for a function around one to say. */
	readonly authInfo?: never;
}

export interface FetchApp {
	/** Which requests hold a stream here, beside those that always do. */
	holds?(request: Request): boolean;
	fetch(request: Request, info: LambdaInfo): Response | Promise<Response>;
}

/** A fanout, as far as a handler needs one. */
export interface LambdaFanout {
	settle?(): Promise<unknown>;
	flush(): Promise<unknown>;
	hold?(): Promise<{ release(): Promise<void> }>;
	rest?(): void;
}

export interface Served {
	readonly app: FetchApp;
	readonly fanout: LambdaFanout;
}

export interface StreamifyOptions {
	readonly fanout: LambdaFanout;
	readonly marginMs?: number | undefined;
	/** The longest lease of a held stream; a shorter one costs less for clients that have left unseen. Default: the deadline. */
	readonly maxLeaseMs?: number | undefined;
	/** Most streams that this process holds at once; 0 holds none. More are refused before anything is done for them. */
	readonly maxStreams?: number | undefined;
	/**
	 * Which requests hold a stream. Default: MCP listens, GETs that accept server-sent events, and those of an MCP session
	 * where the app has sessions.
	 */
	readonly holds?: ((request: Request) => boolean | Promise<boolean>) | undefined;
	/** One value per answer, also where the runtime could stream: for a front that does not take streams. It holds none. */
	readonly buffered?: boolean | undefined;
	/** Keeps idle connections to AWS from one invocation to the next: faster, and some will have died in between. */
	readonly keepConnections?: boolean | undefined;
	readonly flushTimeoutMs?: number | undefined;
	/** Told of what failed beside the answer: a flush, a hold, a response that was cut. */
	readonly onerror?: ((error: FanoutError) => void) | undefined;
	readonly clock?: Clock | undefined;
}

export type LambdaHandler = (event: unknown, context: InvocationContext) => Promise<HttpResult>;
type Start = () => Served | Promise<Served>;

/** `app` may be a function that makes it, and the fanout: called by the first invocation, and again while it fails. */
export function streamify(app: FetchApp, options: StreamifyOptions): LambdaHandler;
export function streamify(app: Start, options?: Omit<StreamifyOptions, "fanout">): LambdaHandler;
export function streamify(app: FetchApp | Start, options: Partial<StreamifyOptions> = {}): LambdaHandler {
	const { clock = systemClock, marginMs = DEFAULT_MARGIN_MS } = options;
	const { maxLeaseMs = Number.POSITIVE_INFINITY, maxStreams = DEFAULT_MAX_STREAMS } = options;
	const { flushTimeoutMs = DEFAULT_FLUSH_TIMEOUT_MS } = options;
	const { onerror = print } = options;
	let starting: Promise<Served> | undefined;
	let running = 0;
	let held = 0;

	async function started(): Promise<Served> {
		if (isApp(app)) return { app, fanout: options.fanout as LambdaFanout };
		starting ??= Promise.resolve(app());
		starting.catch(() => {
			starting = undefined;
		});
		return starting;
	}

	function report(error: FanoutError): void {
		try {
			onerror(error);
		} catch (thrown) {
			print(asFanoutError(thrown, "Unsupported", "onerror threw"));
		}
	}

	async function attempt(message: string, task: () => Promise<unknown>): Promise<boolean> {
		try {
			await task();
			return true;
		} catch (error) {
			report(asFanoutError(error, "AllBroadcastersFailed", message));
			return false;
		}
	}

	/** Within what is left of the function's time: one that is killed answers nothing. */
	const soon = (context: InvocationContext, what: string, task: () => Promise<unknown>) => () => {
		const left = context.getRemainingTimeInMillis() - LAST_MS;
		return withDeadline(clock, Math.max(Math.min(flushTimeoutMs, left), 1), what, task);
	};

	/** The app's response, or a refusal. */
	async function respond(
		{ app, fanout }: Served,
		request: Request,
		info: LambdaInfo,
		invocation: Invocation,
		answer: Answer,
	): Promise<Response> {
		const { holds = (asked) => holdsStream(asked) || app.holds?.(asked) === true } = options;
		const isHeld = await holds(request);
		// Nobody waits any more: what is held from here on would stay.
		if (invocation.signal.aborted) throw invocation.late("no response");
		if (isHeld) {
			if (!answer.isStreaming || maxStreams <= 0) return refuseAlways(request);
			if (held >= maxStreams) return refuseNow(request, `${maxStreams} streams are held, the most accepted`);
			held += 1;
			invocation.onClose(() => {
				held -= 1;
			});
			invocation.lease(maxLeaseMs);
			const canHold = await attempt("a stream could not be held", () => hold(fanout, invocation));
			if (!canHold) return refuseNow(request, "what streams need cannot be reached");
		}
		return app.fetch(request, info);
	}

	async function hold(fanout: LambdaFanout, invocation: Invocation): Promise<void> {
		const holding = fanout.hold?.();
		// Also one that comes only after the invocation has given up on it.
		invocation.onClose(async () => (await holding?.catch(() => undefined))?.release());
		await holding;
	}

	async function invoke(event: unknown, context: InvocationContext, answer: Answer): Promise<void> {
		const served = await started();
		const { fanout } = served;
		const invocation = new Invocation(clock, context.getRemainingTimeInMillis(), marginMs);
		running += 1;
		try {
			const request = requestOf(event, invocation.signal);
			invocation.request = request;
			const response = await invocation.race(respond(served, request, { event, context }, invocation, answer));
			await answer.send(response, invocation.cut, () => invocation.gone());
			if (invocation.wasCut) report(invocation.late("a response was cut"));
		} finally {
			invocation.stop();
			if (running === 1) {
				const settling = soon(context, "ending what was at work", async () => fanout.settle?.());
				await attempt("something is at work still", settling);
			}
			const flushing = soon(context, "flushing before the invocation ends", () => fanout.flush());
			await attempt("what was published may be lost", flushing);
			const closing = soon(context, "closing what a stream held", () => invocation.close());
			await attempt("a stream did not close cleanly", closing);
			running -= 1;
			if (running === 0 && options.keepConnections !== true) fanout.rest?.();
		}
		await answer.end();
	}

	const runtime = options.buffered === true ? undefined : streamingRuntime();
	if (runtime !== undefined) {
		const handler = runtime.streamifyResponse((event, stream, context) =>
			invoke(event, context, createStreamAnswer(event, stream, runtime, clock)),
		);
		// Only the runtime calls it, by its mark.
		return handler as unknown as LambdaHandler;
	}
	return async (event, context) => {
		const answer = createWholeAnswer(event);
		await invoke(event, context, answer);
		if (answer.result === undefined) throw new FanoutError("Aborted", "the invocation ended without an answer");
		return answer.result;
	};
}

/** Some apps are functions that have a `fetch`. */
function isApp(app: FetchApp | Start): app is FetchApp {
	return "fetch" in app;
}

function print(error: FanoutError): void {
	console.error(`mcp-fanout: ${error.code}: ${error.message}`);
}
