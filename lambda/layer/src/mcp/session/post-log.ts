/**
 * What was said on POST streams, so that a client whose stream broke may have the rest on any process. Opt-in: each
 * message of such a stream costs a write to the log `post:<session>/<process>.<count>`. It is written after the client
 * was: nobody waits for the log. At most `maxMessages` of a stream are kept, its answers beside them always.
 */
import { type Channel, createChannel } from "../../core/channel.ts";
import { asFanoutError, isFanoutError } from "../../core/errors.ts";
import type { Message, RequestId } from "../../core/message.ts";
import type { SessionHost } from "./host.ts";

export const DEFAULT_MAX_LOGGED = 1_000;
const METHOD = "mcp-fanout/post";
const EVENT_ID = /^p([0-9a-f-]{36})\.(\d{1,15})\.(\d{1,9})$/;

/** Which stream, and how much of it a client has; undefined when the event is not of a POST stream. */
export function readEventId(text: string | null): { instance: string; post: string; seen: number } | undefined {
	const match = EVENT_ID.exec(text ?? "");
	if (match === null) return undefined;
	const [, instance = "", count = "", seen = ""] = match;
	return { instance, post: `${instance}.${count}`, seen: Number(seen) };
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
	/** Before anything else. */
	begin(ids: readonly RequestId[]): void;
	/** The event's id; undefined when the message is not kept. */
	add(message: Message): string | undefined;
	eventId(seq: number): string;
	/** All is answered. */
	end(): void;
}

export class PostLogs {
	readonly #host: SessionHost;
	readonly #maxMessages: number;
	readonly #open = new Set<string>();
	#count = 0;

	constructor(host: SessionHost, maxMessages: number) {
		this.#host = host;
		this.#maxMessages = maxMessages;
	}

	/** Whether the stream's requests still run here. */
	isOpen(post: string): boolean {
		return this.#open.has(post);
	}

	create(session: Channel): PostLog {
		this.#count += 1;
		const post = `${this.#host.instanceId}.${this.#count}`;
		const channel = postChannel(session, post);
		let seq = 0;
		const write = (params: Logged) => this.#write(channel, params);
		return {
			begin: (ids) => {
				this.#open.add(post);
				write({ seq: 0, ids });
			},
			add: (message) => {
				if ("method" in message && seq >= this.#maxMessages) return undefined;
				seq += 1;
				write({ seq, message });
				return eventIdOf(post, seq);
			},
			eventId: (at) => eventIdOf(post, at),
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
