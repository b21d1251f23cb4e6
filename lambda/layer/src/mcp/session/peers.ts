/**
 * What processes of a fleet tell each other about sessions: over `instance:<id>` to one, over `instance:*` to all.
 * It comes from a broker, so it is checked; what one process does not know it ignores, for another may be newer.
 */
import { type Channel, createChannel, parseChannel } from "../../core/channel.ts";
import type { Sink } from "../../core/client-feed.ts";
import { asFanoutError } from "../../core/errors.ts";
import { type Message, parseMessage } from "../../core/message.ts";
import { Ear, type Listening } from "./ear.ts";
import { MAX_URI_LENGTH } from "./facts.ts";
import type { SessionHost } from "./host.ts";

export type Word =
	/** The client's answer to an ask of the process told, or its progress with it. */
	| { readonly kind: "reply"; readonly session: Channel; readonly message: Message }
	/** The client's notification about a request that runs elsewhere. */
	| { readonly kind: "notice"; readonly session: Channel; readonly message: Message }
	/** A request that changed what the record says of the session; the process with its GET stream gives the sign. */
	| { readonly kind: "changed"; readonly session: Channel; readonly message: Message; readonly key: string }
	/** GET streams of the session before the n-th end. */
	| { readonly kind: "get"; readonly session: Channel; readonly n: number }
	| { readonly kind: "ended"; readonly session: Channel }
	/** Do the POST's requests run there? If so it gives the sign. */
	| { readonly kind: "probe"; readonly session: Channel; readonly post: string; readonly key: string }
	| { readonly kind: "sign"; readonly session: Channel; readonly key: string };

export interface Listener {
	told(word: Word, from: string): void;
	/** Something may have been told that did not arrive. */
	missed(): void;
}

const METHOD = "mcp-fanout/session";
export const EVERYONE = "*";

export class Peers {
	readonly #host: SessionHost;
	readonly #ear: Ear;

	constructor(host: SessionHost, listener: Listener) {
		this.#host = host;
		const channels = [host.instanceId, EVERYONE].map((id) => this.#address(id));
		const sink: Sink = {
			deliver: ({ message, origin }) => {
				const word = readWord(message);
				if (word !== undefined) listener.told(word, origin);
			},
			mark: () => listener.missed(),
			cursor() {},
			end: () => listener.missed(),
		};
		this.#ear = new Ear(host, () => host.openFeed({ channels }, sink));
	}

	/** Rejects when this process should always be told things, and cannot be. */
	get opened(): Promise<void> {
		return this.#ear.opened;
	}

	/** Resolves when this process hears all that it is told from now on, until it stops. */
	listen(): Promise<Listening> {
		return this.#ear.listen();
	}

	/** Resolves when the word is on its way for good; whether its hearer lives is not known. */
	async tell(instance: string, { kind, session, ...more }: Word): Promise<void> {
		const params = { kind, session: session.key, ...more };
		await this.#host.publish(this.#address(instance), { jsonrpc: "2.0", method: METHOD, params });
	}

	/** The same where nobody can be answered: a failure is reported, and need not be waited for. */
	tellAll(word: Word): Promise<void> {
		const said = "message" in word ? { ...word, message: briefly(word.message) } : word;
		return this.tell(EVERYONE, said).catch((error) =>
			this.#host.report(asFanoutError(error, "TransportUnavailable", "the fleet was not told of a session's change")),
		);
	}

	/** Nobody here listens any more. Resolves when nothing is open for it. */
	close(): Promise<void> {
		return this.#ear.close();
	}

	#address(id: string): Channel {
		return createChannel("instance", id, { namespace: this.#host.namespace });
	}
}

/** What clients say of requests, resources and levels, without what else they sent with it: all processes keep it. */
function briefly(message: Message): Message {
	if (!("method" in message) || message.params === undefined) return message;
	const { requestId, reason, uri, level } = message.params;
	const params: Record<string, unknown> = {};
	for (const [name, value] of Object.entries({ requestId, reason, uri, level })) {
		if (typeof value === "number") params[name] = value;
		else if (typeof value === "string") params[name] = value.slice(0, MAX_URI_LENGTH);
	}
	return { ...message, params };
}

function readWord(said: Message): Word | undefined {
	if (!("method" in said) || said.method !== METHOD) return undefined;
	const { kind, session: place, n, message, post, key } = said.params ?? {};
	try {
		const session = parseChannel(place);
		if (kind === "ended") return { kind, session };
		if (kind === "get") return typeof n === "number" ? { kind, session, n } : undefined;
		if (kind === "sign") return typeof key === "string" ? { kind, session, key } : undefined;
		if (kind === "probe") {
			return typeof post === "string" && typeof key === "string" ? { kind, session, post, key } : undefined;
		}
		if (kind === "reply" || kind === "notice") return { kind, session, message: parseMessage(message) };
		if (kind === "changed" && typeof key === "string") return { kind, session, message: parseMessage(message), key };
	} catch {
		// Not of a shape that this release knows: whoever needs it says it in a way that old ones understand.
	}
	return undefined;
}
