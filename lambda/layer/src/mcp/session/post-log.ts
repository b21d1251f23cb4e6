/**
 * What was said on POST streams, so that a client whose stream broke may have the rest on any process. Opt-in: each
 * message of such a stream costs a write to the log `post:<session>/<process>.<count>`. It is written after the client
 * was: nobody waits for the log. At most `maxMessages` of a stream are kept, its answers beside them always.
 */
import { type Channel, createChannel } from "../../core/channel.ts";
import { laneTag } from "../../core/cursor.ts";
import { asFanoutError, isFanoutError } from "../../core/errors.ts";
import type { Message, RequestId } from "../../core/message.ts";
import type { SessionHost } from "./host.ts";

export const DEFAULT_MAX_LOGGED = 1_000;
const METHOD = "mcp-fanout/post";
/** Characters of the request ids that a first event's id names; more are told by the log alone. */
const MAX_NAMED = 200;
const EVENT_ID = /^p([0-9a-f-]{36})\.(\d{1,15})\.(\d{1,9})(?:\.([0-9a-f]{12})([\w-]{1,200}))?$/;

export interface PostEvent {
	/** As the client has it. */
	readonly text: string;
	readonly instance: string;
	readonly post: string;
	/** How much of the stream the client has. */
	readonly seen: number;
	/** The requests that the stream answers, where the event names them. */
	readonly ids: readonly RequestId[] | undefined;
}

/** Undefined when the event is not of a POST stream. */
export function readEventId(text: string | null, session: Channel): PostEvent | undefined {
	const match = EVENT_ID.exec(text ?? "");
	if (match === null) return undefined;
	const [whole, instance = "", count = "", seen = "", tag, named] = match;
	const post = `${instance}.${count}`;
	const isOurs = tag === laneTag(session);
	return { text: whole, instance, post, seen: Number(seen), ids: isOurs ? readIds(named) : undefined };
}

/** From a client, and for what it is told alone. */
function readIds(text = ""): readonly RequestId[] | undefined {
	try {
		const ids: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
		return Array.isArray(ids) ? ids.filter((id) => typeof id === "string" || typeof id === "number") : undefined;
	} catch {
		// Not ours: then the log says which, or nobody does.
		return undefined;
	}
}

/** The event before all others: its process may be gone before the log knows what was asked. Good in its session only. */
function firstEventId(session: Channel, post: string, ids: readonly RequestId[]): string {
	const named = Buffer.from(JSON.stringify(ids)).toString("base64url");
	const first = eventIdOf(post, 0);
	return named.length > MAX_NAMED ? first : `${first}.${laneTag(session)}${named}`;
}

export const eventIdOf = (post: string, seq: number): string => `p${post}.${seq}`;

export const postChannel = ({ id, namespace, tenant }: Channel, post: string): Channel =>
	createChannel("post", `${id}/${post}`, { namespace, tenant });

/** The first of a log says which requests it answers; what follows is numbered from 1. */
export type Logged =
	| { readonly seq: 0; readonly ids: readonly RequestId[] }
	| { readonly seq: number; readonly message: Message };

export function readLogged(said: Message): Logged | undefined {
	if (!("method" in said) || said.method !== METHOD) return undefined;
	const { seq, ids, message } = said.params ?? {};
	if (seq === 0 && Array.isArray(ids)) return { seq, ids };
	return typeof seq === "number" && typeof message === "object" ? { seq, message: message as Message } : undefined;
}

export interface PostLog {
	/** Before anything else; the event's id. */
	begin(ids: readonly RequestId[]): string;
	/** The event's id; undefined when the message is not kept. */
	add(message: Message): string | undefined;
	/** All is answered. */
	end(): void;
}

/** Counts for the whole process: two handlers on one fanout must not take each other's streams for their own. */
let created = 0;

export class PostLogs {
	readonly #host: SessionHost;
	readonly #maxMessages: number;
	readonly #open = new Set<string>();

	constructor(host: SessionHost, maxMessages: number) {
		this.#host = host;
		this.#maxMessages = maxMessages;
	}

	/** Whether the stream's requests still run here. */
	isOpen(post: string): boolean {
		return this.#open.has(post);
	}

	create(session: Channel): PostLog {
		created += 1;
		const post = `${this.#host.instanceId}.${created}`;
		const channel = postChannel(session, post);
		let seq = 0;
		const write = (params: Logged) => this.#write(channel, params);
		return {
			begin: (ids) => {
				this.#open.add(post);
				write({ seq: 0, ids });
				return firstEventId(session, post, ids);
			},
			add: (message) => {
				if ("method" in message && seq >= this.#maxMessages) return undefined;
				seq += 1;
				write({ seq, message });
				return eventIdOf(post, seq);
			},
			end: () => void this.#open.delete(post),
		};
	}

	#write(channel: Channel, logged: Logged): void {
		const params = { ...logged };
		this.#host.publish(channel, { jsonrpc: "2.0", method: METHOD, params }).catch((error) => {
			this.#host.report(asFanoutError(error, "TransportUnavailable", "a POST stream's log has a hole"));
			if (!("message" in logged) || "method" in logged.message || !isFanoutError(error, "PayloadTooLarge")) return;
			// Who comes back for an answer that no log takes must not wait for it.
			const said = { code: -32_000, message: "the answer is too large to be had again" };
			const message = { jsonrpc: "2.0" as const, id: logged.message.id, error: said };
			this.#write(channel, { seq: logged.seq, message });
		});
	}
}
