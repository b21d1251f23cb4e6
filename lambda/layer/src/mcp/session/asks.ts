/**
 * Requests from the server to its client. On the wire they have ids that are unique in the fleet and name the process
 * that asks, so that the answer finds it wherever it is posted; here they are turned back into the ids that the
 * server's SDK gave out. Progress and cancellation of such a request are named likewise.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Request as Ask, Message, RequestId } from "../../core/message.ts";

/** Asks of one session that nobody has answered yet. */
export const MAX_ASKS = 1_000;
const ASK = /^([0-9a-f-]{36})\.(\d{1,15})$/;

/** The process that asked, when the id is one of ours. */
export function askerOf(id: unknown): string | undefined {
	return typeof id === "string" ? ASK.exec(id)?.[1] : undefined;
}

/** As the server called them: its SDK's token is the request's id, an application's own may be anything. */
interface Open {
	readonly id: RequestId;
	readonly token: unknown;
}

/** Counts for the whole process: the answer to one session's ask can never be taken for another's. */
let asked = 0;

export class Asks {
	readonly #instance: string;
	readonly #open = new Map<string, Open>();

	constructor(instance: string) {
		this.#instance = instance;
	}

	/** The server's message as the client shall see it. */
	outbound(message: Message): Message {
		if (!("method" in message)) return message;
		if ("id" in message) return this.#ask(message as Ask);
		if (message.method !== "notifications/cancelled") return message;
		const id = this.#wireId(message.params?.requestId);
		if (id === undefined) return message;
		// The server waits for this one no longer.
		this.#open.delete(id);
		return { ...message, params: { ...message.params, requestId: id } };
	}

	/** The client's message as the server knows it; undefined when nothing here asked for it. */
	inbound(message: Message): Message | undefined {
		if ("method" in message) {
			const open = this.#open.get(String(message.params?.progressToken));
			return open && { ...message, params: { ...message.params, progressToken: open.token } };
		}
		const open = this.#open.get(String(message.id));
		if (open === undefined) return undefined;
		this.#open.delete(String(message.id));
		return { ...message, id: open.id };
	}

	/** It could not be sent. */
	forget(message: Message): void {
		if ("id" in message) this.#open.delete(String(message.id));
	}

	get size(): number {
		return this.#open.size;
	}

	#ask(message: Ask): Message {
		if (this.#open.size >= MAX_ASKS) {
			throw new FanoutError("QueueFull", `${MAX_ASKS} requests to one client wait for answers, the most accepted`);
		}
		asked += 1;
		const id = `${this.#instance}.${asked}`;
		const meta = message.params?._meta as { readonly progressToken?: unknown } | undefined;
		const token = meta?.progressToken;
		this.#open.set(id, { id: message.id, token });
		if (token === undefined) return { ...message, id };
		return { ...message, id, params: { ...message.params, _meta: { ...meta, progressToken: id } } };
	}

	#wireId(own: unknown): string | undefined {
		for (const [id, open] of this.#open) if (open.id === own) return id;
		return undefined;
	}
}
