/** From what an application asks for (a session, a principal, topics) to the channels of one client stream. */
import { type Channel, createChannel, everyTenantChannel } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";
import type { StreamOptions } from "./port.ts";

export interface StreamRequest extends Omit<StreamOptions, "channels"> {
	/** Identities come from the application's own authentication, never from the client's word. */
	readonly session?: string;
	readonly principal?: string;
	readonly topics?: readonly string[];
	/** Whether it hears what is for everyone of its tenant. Default true. */
	readonly all?: boolean;
	/** Whether it hears what is for everyone of every tenant. Default false. */
	readonly everyTenant?: boolean;
	readonly tenant?: string;
}

export function streamOptions(
	request: StreamRequest,
	namespace: string,
	lastEventId: string | readonly string[] | undefined,
): StreamOptions {
	const { session, principal, topics = [], all = true, everyTenant = false, tenant, ...options } = request;
	const scope = { namespace, tenant };
	const channels: Channel[] = [];
	if (session !== undefined) channels.push(createChannel("session", session, scope));
	if (principal !== undefined) channels.push(createChannel("principal", principal, scope));
	if (all) channels.push(createChannel("all", "", scope));
	if (everyTenant) channels.push(everyTenantChannel(namespace));
	for (const topic of topics) channels.push(createChannel("topic", topic, scope));
	if (channels.length === 0) {
		throw new FanoutError("ScopeRequired", "a client stream follows a session, a principal, a topic or all");
	}
	const cursor = options.lastEventId ?? (typeof lastEventId === "string" ? lastEventId : undefined);
	// Of its exact size: an array that grew keeps room for seventeen, in every stream.
	const given = { ...options, channels: channels.slice() };
	return cursor === undefined ? given : { ...given, lastEventId: cursor };
}
