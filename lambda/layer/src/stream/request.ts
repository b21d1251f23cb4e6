/** From what an application asks for (a session, a principal, topics) to the channels of one client stream. */
import { type Channel, createChannel, everyTenantChannel } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";
import { checkNames } from "../core/ranges.ts";
import type { StreamOptions } from "./port.ts";

export interface StreamRequest extends Omit<StreamOptions, "channels"> {
	/** Identities come from the application's own authentication, never from the client's word. */
	readonly session?: string | undefined;
	readonly principal?: string | undefined;
	readonly topics?: readonly string[] | undefined;
	/** Whether it hears what is for everyone of its tenant. Default true. */
	readonly all?: boolean | undefined;
	/** Whether it hears what is for everyone of every tenant. Default false. */
	readonly everyTenant?: boolean | undefined;
	readonly tenant?: string | undefined;
}

/** `onStream` is of `response`. */
const KNOWN: Readonly<Record<keyof StreamRequest | "onStream", true>> = {
	...{ session: true, principal: true, topics: true, all: true, everyTenant: true, tenant: true, lastEventId: true },
	...{ sinceMs: true, filter: true, coalesce: true, cursorFrames: true, retryMs: true, onStream: true },
};

/** Throws InvalidChannel, or ScopeRequired where nothing is asked for. */
export function channelsOf(request: StreamRequest, namespace: string): Channel[] {
	const { session, principal, topics = [], all = true, everyTenant = false, tenant } = request;
	const scope = { namespace, tenant };
	// The letters of a text would be topics.
	if (!Array.isArray(topics)) throw new FanoutError("InvalidChannel", "topics must be a list of names");
	const channels: Channel[] = [];
	if (session !== undefined) channels.push(createChannel("session", session, scope));
	if (principal !== undefined) channels.push(createChannel("principal", principal, scope));
	if (all) channels.push(createChannel("all", "", scope));
	if (everyTenant) channels.push(everyTenantChannel(namespace));
	for (const topic of topics) channels.push(createChannel("topic", topic, scope));
	if (channels.length === 0) {
		throw new FanoutError("ScopeRequired", "a client stream follows a session, a principal, a topic or all");
	}
	// Of its exact size: an array that grew keeps room for seventeen, in every stream.
	return channels.slice();
}

/** What names no channel is then refused on its own connection, as everything else is that cannot be opened. */
export function streamOptions<T extends StreamRequest>(request: T, namespace: string): T & StreamOptions {
	const channels = () => {
		// A misspelt session would leave a stream that hears what is for all, and nothing else.
		checkNames<Partial<Record<keyof typeof KNOWN, unknown>>>("a client stream", request, KNOWN);
		return channelsOf(request, namespace);
	};
	return { ...request, channels };
}
