/**
 * The SDK's public `Transport`, v1's and v2's alike, for one session in this process: it hands over what the client
 * posts here and sends what the server says to where the client hears it. An answer goes to the POST that asked; what
 * belongs to a request, to that request's POST; all else to the session's channel, and so to its GET stream wherever
 * that is. Nothing of any SDK is imported. Sources: @modelcontextprotocol/server 2.4 and sdk 1.32, Transport.
 */
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { type Response as Answer, CHANGE_METHODS, type Message, type RequestId } from "../../core/message.ts";
import { Asks } from "./asks.ts";

/** Where the answer to a request of the client goes, and what belongs to it. */
export interface Asker {
	answer(message: Answer): void;
	/** False when the client does not hear it any more. */
	say(message: Message): boolean;
	/** What to wait for before more is said: a client that reads slower than is said. */
	readonly room?: Promise<void> | undefined;
	/** Nothing will answer this request. */
	forget(id: RequestId): void;
}

export interface TransportHost {
	readonly instanceId: string;
	/** What has to be waited for before this is said: its answer may come by another process. */
	hear(isAsk: boolean): Promise<unknown> | undefined;
	/** To the session's channel. */
	publish(message: Message): Promise<unknown>;
	/** May change the answer to a request that the session's record must know of first. */
	answered(message: Answer): Answer | Promise<Answer>;
	/** Runs what the application does about a message. */
	act(task: () => void): void;
	/** A failure that nobody waits for. */
	report(error: FanoutError): void;
	closed(): void;
}

type SomeMessage = { readonly jsonrpc: "2.0" };

const { resource_updated: _waitedFor, ...LISTS } = CHANGE_METHODS;
/** The SDKs' servers say these by themselves and wait for none: a rejection that nobody hears ends the process. */
const UNWAITED: ReadonlySet<string> = new Set(Object.values(LISTS));

export class SessionTransport {
	readonly sessionId: string;
	onclose?: (() => void) | undefined;
	onerror?: ((error: Error) => void) | undefined;
	onmessage?: ((message: SomeMessage, extra?: object) => void) | undefined;
	readonly #host: TransportHost;
	readonly #asks: Asks;
	readonly #askers = new Map<RequestId, Asker>();
	/** What waits to be heard before it is said, by the request that it belongs to. */
	readonly #waiting = new Map<RequestId, Promise<unknown>>();
	#isClosed = false;

	constructor(sessionId: string, host: TransportHost) {
		this.sessionId = sessionId;
		this.#host = host;
		this.#asks = new Asks(host.instanceId);
	}

	/** Nothing of it may be dropped to save memory: somebody waits here. */
	get isBusy(): boolean {
		return this.#askers.size > 0 || this.#asks.size > 0;
	}

	/** Of the client, that wait for their answers. */
	get requests(): number {
		return this.#askers.size;
	}

	isAsked(id: RequestId): boolean {
		return this.#askers.has(id);
	}

	async start(): Promise<void> {}

	/** A request's answer goes to `asker`, whatever the client called the request. */
	request(message: Message & { readonly id: RequestId }, asker: Asker, extra: object): void {
		if (this.#isClosed) {
			asker.answer(endedAnswer(message.id));
			return;
		}
		this.#askers.set(message.id, asker);
		this.#hand(message, extra);
	}

	notify(message: Message, extra: object): void {
		this.#hand(message, extra);
		const id =
			"method" in message && message.method === "notifications/cancelled" ? message.params?.requestId : undefined;
		const asker = this.#askers.get(id as RequestId);
		if (asker === undefined) return;
		// The SDK answers a cancelled request never.
		this.#askers.delete(id as RequestId);
		asker.forget(id as RequestId);
	}

	/** The client's answer to an ask of this process, or its progress; false when nothing here asked. */
	reply(message: Message, extra: object): boolean {
		const own = this.#asks.inbound(message);
		if (own !== undefined) this.#hand(own, extra);
		return own !== undefined;
	}

	#hand(message: Message, extra: object): void {
		this.#host.act(() => this.onmessage?.(message, extra));
	}

	async send(said: SomeMessage, options: { readonly relatedRequestId?: RequestId | undefined } = {}): Promise<void> {
		const message = said as Message;
		try {
			await this.#send(message, options);
		} catch (error) {
			if (!("method" in message) || !UNWAITED.has(message.method)) throw error;
			this.#host.report(asFanoutError(error, "TransportUnavailable", "a session was not told of a change"));
		}
	}

	async #send(message: Message, options: { readonly relatedRequestId?: RequestId | undefined }): Promise<void> {
		const heard = "method" in message ? this.#host.hear("id" in message) : undefined;
		if (heard !== undefined) await this.#wait(heard, options.relatedRequestId);
		// A tool need not await what it says: its answer ends the request, and would leave that nowhere to go.
		else if (!("method" in message)) await this.#waiting.get(message.id as RequestId);
		if (this.#isClosed) throw new FanoutError("Closed", "the session has ended in this process");
		if (!("method" in message)) return this.#answer(message);
		const outbound = this.#asks.outbound(message);
		try {
			await this.#say(outbound, options.relatedRequestId);
		} catch (error) {
			this.#asks.forget(outbound);
			throw error;
		}
	}

	async #wait(heard: Promise<unknown>, related: RequestId | undefined): Promise<void> {
		if (related === undefined) return void (await heard);
		const all: Promise<unknown> = Promise.allSettled([this.#waiting.get(related), heard]).then(() => {
			if (this.#waiting.get(related) === all) this.#waiting.delete(related);
		});
		this.#waiting.set(related, all);
		await heard;
	}

	async #say(message: Message, related: RequestId | undefined): Promise<void> {
		if (related === undefined) {
			await this.#host.publish(message);
			return;
		}
		const asker = this.#askers.get(related);
		const isHeard = asker?.say(message) ?? false;
		// Who asks must hear that nobody will answer; a notification that nobody hears is the client's choice.
		if (!isHeard && "id" in message) throw new FanoutError("Closed", "the client's request is heard no longer");
		await asker?.room;
	}

	async #answer(message: Answer): Promise<void> {
		const id = message.id as RequestId;
		const asker = this.#askers.get(id);
		if (asker === undefined) return;
		const final = await this.#host.answered(message);
		if (this.#askers.get(id) !== asker) return;
		this.#askers.delete(id);
		asker.answer(final);
	}

	async close(why?: string): Promise<void> {
		if (this.#isClosed) return;
		this.#isClosed = true;
		for (const [id, asker] of this.#askers) {
			asker.answer(endedAnswer(id, why));
		}
		this.#askers.clear();
		this.#host.closed();
		this.#host.act(() => this.onclose?.());
	}
}

function endedAnswer(id: RequestId, why = "the session has ended"): Answer {
	return { jsonrpc: "2.0", id, error: { code: -32_000, message: why } };
}
