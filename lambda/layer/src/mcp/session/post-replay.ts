/**
 * A POST stream that a client resumes, on whichever process: what it has not seen comes from the stream's log, also
 * while its requests still run elsewhere. When their process is gone, or the log is, the client gets an error for each
 * request that nobody will answer.
 */
import type { Channel } from "../../core/channel.ts";
import type { Feed } from "../../core/client-feed.ts";
import { at, type Timer } from "../../core/clock.ts";
import { asFanoutError } from "../../core/errors.ts";
import type { RequestId } from "../../core/message.ts";
import { signalOf } from "../../core/request-signal.ts";
import type { Listening } from "./ear.ts";
import type { SessionHost } from "./host.ts";
import type { Peers } from "./peers.ts";
import { eventIdOf, type PostEvent, type PostLogs, postChannel, readLogged } from "./post-log.ts";
import type { Signs } from "./signs.ts";
import { SseBody } from "./sse-body.ts";

export const PROBE_MS = 1_000;
/** Probes without a sign of life before the stream's process counts as gone. */
const MAX_SILENCE = 3;

export interface ReplayDeps {
	readonly host: SessionHost;
	readonly peers: Peers;
	/** For the signs; stopped when the stream is over. */
	readonly listening: Listening;
	readonly logs: PostLogs;
	readonly signs: Signs;
	/** What ends each that is open: they end with their handler, and one of a POST makes place for the next. */
	readonly open: Map<string, () => void>;
	readonly retryMs: number;
	readonly primes: boolean;
}

export interface ReplayRequest {
	readonly request: Request;
	readonly session: Channel;
	readonly event: PostEvent;
	/** When the authorisation ends, and the stream with it. */
	readonly expiresAtMs: number | undefined;
}

export async function replayPost(deps: ReplayDeps, asked: ReplayRequest): Promise<Response> {
	try {
		const cursor = deps.host.cursorBefore(postChannel(asked.session, asked.event.post));
		return new Replay(deps, asked).start(cursor);
	} catch (error) {
		deps.listening.stop();
		throw error;
	}
}

class Replay {
	readonly #deps: ReplayDeps;
	readonly #session: Channel;
	readonly #post: string;
	readonly #instance: string;
	readonly #event: PostEvent;
	readonly #body: SseBody;
	readonly #sign: ReturnType<Signs["expect"]>;
	/** Requests without an answer, as the client's event says, then as the log's first entry does; else unknown. */
	#pending: Set<RequestId> | undefined;
	#feed: Feed | undefined;
	#timer: Timer | undefined;
	#expiry: Timer | undefined;
	#silence = 0;
	readonly #end = (): void => this.#body.close();

	constructor(deps: ReplayDeps, { request, session, event, expiresAtMs }: ReplayRequest) {
		this.#deps = deps;
		this.#session = session;
		this.#post = event.post;
		this.#instance = event.instance;
		this.#event = event;
		this.#pending = event.ids && new Set(event.ids);
		this.#sign = deps.signs.expect(() => {
			this.#silence = 0;
		});
		const headers = { "mcp-session-id": session.id };
		const { clock } = deps.host;
		this.#body = new SseBody({ clock, headers, signal: signalOf(request), left: () => this.#over() });
		if (expiresAtMs !== undefined) this.#expiry = at(clock, expiresAtMs, this.#end);
	}

	start(cursor: string): Response {
		const { host, open, primes, retryMs } = this.#deps;
		open.get(this.#name)?.();
		open.set(this.#name, this.#end);
		if (primes) this.#body.prime(this.#event.text, retryMs);
		this.#feed = host.openFeed(
			{ channels: [postChannel(this.#session, this.#post)], cursor },
			{
				deliver: ({ message }) => this.#take(readLogged(message)),
				mark: () => this.#fail("what was said is kept no longer"),
				cursor() {},
				end: () => this.#body.close(),
				room: () => this.#body.room,
			},
		);
		if (this.#body.isOver) this.#over();
		else this.#probe();
		return this.#body.response;
	}

	#take(logged: ReturnType<typeof readLogged>): void {
		if (logged === undefined) return;
		if ("ids" in logged) this.#pending = new Set(logged.ids);
		else {
			const { seq, message } = logged;
			if (seq > this.#event.seen) this.#body.write(JSON.stringify(message), eventIdOf(this.#post, seq));
			if (!("method" in message)) this.#pending?.delete(message.id as RequestId);
		}
		if (this.#pending?.size === 0) this.#body.close();
	}

	/** Asks the stream's process whether it is still at it, until one of both is over. */
	#probe(): void {
		const { host, peers, logs } = this.#deps;
		// What its client has not taken yet may hold all the answers.
		if (this.#body.room !== undefined) this.#silence = 0;
		if (this.#silence >= MAX_SILENCE) {
			this.#fail("the process that ran the request is gone");
			return;
		}
		this.#silence += 1;
		if (logs.isOpen(this.#post)) this.#silence = 0;
		else if (this.#instance !== host.instanceId) {
			const probe = { kind: "probe", session: this.#session, post: this.#post, key: this.#sign.key } as const;
			peers.tell(this.#instance, probe).catch((error) => {
				host.report(asFanoutError(error, "TransportUnavailable", "a process could not be asked for a request"));
			});
		}
		this.#timer = host.clock.after(PROBE_MS, () => this.#probe());
	}

	#fail(why: string): void {
		for (const id of this.#pending ?? []) {
			this.#body.write(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_000, message: why } }), undefined);
		}
		this.#body.close();
	}

	get #name(): string {
		return postChannel(this.#session, this.#post).key;
	}

	#over(): void {
		if (this.#deps.open.get(this.#name) === this.#end) this.#deps.open.delete(this.#name);
		this.#timer?.cancel();
		this.#expiry?.cancel();
		this.#feed?.close();
		this.#sign.stop();
		this.#deps.listening.stop();
	}
}
