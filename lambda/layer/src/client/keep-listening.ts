/**
 * `keepListening`: an MCP client (SDK v2) that stays told of changes. It listens again whenever its stream drops, and
 * yields what is to be read again: each change, and after every gap everything that it listens for, since what changed
 * meanwhile is known to nobody. Drops and refusals that may pass (no connection, 408, 425, 429, 5xx, no room for
 * subscriptions) are tried again with full jitter; every other refusal ends the iteration with an error.
 */
import { fullJitter } from "../core/backoff.ts";
import { type Clock, pause } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { call } from "./call.ts";
import { clientClock } from "./clock.ts";
import { type Invalidation, Invalidations } from "./invalidations.ts";
import { hear, type ListenFilter, type McpClient, namedBy } from "./mcp-client.ts";

export const DEFAULT_ACK_TIMEOUT_MS = 10_000;
export const DEFAULT_LISTEN_BACKOFF = { baseMs: 200, capMs: 20_000 } as const;
const DEFAULT_MAX_WAITING = 1_000;

export type ListenEvent =
	/** The server has acknowledged a listen; `honoured` is what it tells of, which may be less than was asked. */
	| { readonly type: "open"; readonly honoured: ListenFilter }
	/** The stream dropped, or could not be opened; another one is tried. */
	| { readonly type: "lost"; readonly error: FanoutError };

export interface KeepListeningOptions {
	/** Ends the iteration, without an error. */
	readonly signal?: AbortSignal | undefined;
	/**
	 * When the server itself ends the subscription: `end` the iteration (default), or `listen` again, for a fleet whose
	 * processes end subscriptions when they go away.
	 */
	readonly onGraceful?: "end" | "listen" | undefined;
	/** Yields everything after the first acknowledgement too, for a consumer that reads what it is told of. */
	readonly initial?: boolean | undefined;
	readonly onEvent?: ((event: ListenEvent) => void) | undefined;
	/** Most invalidations that wait for the consumer, unless the filter names more; beyond it, everything is to be read again. */
	readonly maxWaiting?: number | undefined;
	readonly ackTimeoutMs?: number | undefined;
	readonly backoff?: { readonly baseMs: number; readonly capMs: number } | undefined;
	readonly clock?: Clock | undefined;
	/** A number in [0, 1). */
	readonly random?: (() => number) | undefined;
}

export interface Listening extends AsyncIterableIterator<Invalidation, undefined> {
	/** Ends the iteration; idempotent. Leaving a `for await` does the same. */
	close(): void;
}

/** Takes over the client's handlers of list changes and resource updates while it runs: `listChanged` has them too. */
export function keepListening(client: McpClient, filter: ListenFilter, options: KeepListeningOptions = {}): Listening {
	const { clock = clientClock, random = Math.random, backoff = DEFAULT_LISTEN_BACKOFF } = options;
	const { ackTimeoutMs: timeout = DEFAULT_ACK_TIMEOUT_MS } = options;
	const asked = namedBy(filter);
	if (asked.length === 0) throw new FanoutError("InvalidFilter", "the filter names nothing to listen for");
	const { resourceSubscriptions: uris, ...flags } = filter;
	const wanted = uris === undefined ? flags : { ...flags, resourceSubscriptions: [...uris] };
	const waiting = new Invalidations(options.maxWaiting ?? DEFAULT_MAX_WAITING, asked);
	const stop = new AbortController();
	const kinds = new Set(asked.map(({ kind }) => kind));
	// By kind alone: a server may tell of what is under a resource that was named.
	const deaf = hear(client, (changed) => {
		if (kinds.has(changed.kind)) waiting.add(changed, "changed");
	});

	function close(error?: unknown): void {
		if (stop.signal.aborted) return;
		deaf();
		options.signal?.removeEventListener("abort", onAbort);
		waiting.end(error);
		stop.abort();
	}
	const onAbort = () => close();
	let standsSince = Number.POSITIVE_INFINITY;

	/** One subscription until it is over; answers whether the server ended it. */
	async function listen(mayHaveMissed: boolean): Promise<boolean> {
		const subscription = await client.listen(wanted, { signal: stop.signal, timeout });
		const honoured = namedBy(subscription.honoredFilter);
		if (honoured.length === 0) throw refused("the server tells of nothing that was asked for");
		standsSince = clock.monotonic();
		if (mayHaveMissed) waiting.addAll(honoured);
		call(options.onEvent, { type: "open", honoured: subscription.honoredFilter });
		return (await subscription.closed) === "graceful";
	}

	async function run(): Promise<void> {
		let mayHaveMissed = options.initial ?? false;
		for (let failures = 0; !stop.signal.aborted; failures += 1) {
			standsSince = Number.POSITIVE_INFINITY;
			try {
				const isGraceful = await listen(mayHaveMissed);
				mayHaveMissed = true;
				if (isGraceful && options.onGraceful !== "listen") return close();
				lost(new Error(isGraceful ? "the server ended it" : "the stream dropped"));
			} catch (cause) {
				if (stop.signal.aborted) return;
				if (isFinal(cause)) return close(asRefusal(cause));
				lost(cause);
			}
			// By the pause that would follow, not by the longest: a function's lease may be shorter than that one.
			if (clock.monotonic() - standsSince > fullJitter(failures, backoff, () => 1)) failures = 0;
			await pause(clock, fullJitter(failures, backoff, random), stop.signal);
		}
	}

	function lost(cause: unknown): void {
		if (stop.signal.aborted) return;
		const message = `not listening: ${cause instanceof Error ? cause.message : String(cause)}`;
		const error = new FanoutError("TransportUnavailable", message, { cause, retryable: true });
		call(options.onEvent, { type: "lost", error });
	}

	options.signal?.addEventListener("abort", onAbort, { once: true });
	if (options.signal?.aborted) close();
	else run();
	return {
		next: () => waiting.next(),
		async return() {
			close();
			return { done: true, value: undefined };
		},
		close: () => close(),
		[Symbol.asyncIterator]() {
			return this;
		},
	};
}

const refused = (message: string, cause?: unknown): FanoutError =>
	new FanoutError("TransportRefused", message, { cause });

function asRefusal(cause: unknown): unknown {
	if (cause instanceof FanoutError) return cause;
	return refused(`the server takes no listen: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
}

/** JSON-RPC's internal error: how the SDK's server says that it holds as many subscriptions as it may. */
const INTERNAL_ERROR = -32_603;
const PASSING = new Set([408, 425, 429]);
/** What the SDK's client says before it asks any server. */
const OF_CLIENT = new Set(["NOT_CONNECTED", "METHOD_NOT_SUPPORTED_BY_PROTOCOL_VERSION"]);

/** Whether asking again would get the same answer. */
function isFinal(error: unknown): boolean {
	const { code, data, name } = error as { code?: unknown; data?: { status?: unknown }; name?: unknown };
	if (error instanceof FanoutError || name === "UnauthorizedError" || OF_CLIENT.has(String(code))) return true;
	if (typeof code === "number") return code !== INTERNAL_ERROR;
	const status = data?.status;
	if (typeof status !== "number") return false;
	return status === 501 || (status >= 400 && status < 500 && !PASSING.has(status));
}
