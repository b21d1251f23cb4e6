/**
 * Whose request it is, carried from the fleet handler to the bus by AsyncLocalStorage: the SDK subscribes in the same
 * async context in which its `fetch` was called. One storage per fanout.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Channel } from "../core/channel.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Filter } from "./audience.ts";
import { keyOf, LIST_KINDS, type ServerEvent } from "./change.ts";
import type { HeardChannels } from "./heard-channels.ts";
import { Listen } from "./listen.ts";

export interface RequestScope {
	readonly tenant: string;
	/** What a listen of this request hears. */
	readonly channels: readonly Channel[];
	readonly catchUpMs: number;
	/** Called when the body of the listen has ended. */
	closed(listen: Listen): void;
	now(): number;
	/** The listen that the request opened. */
	listen: Listen | undefined;
}

export type RequestScopes = AsyncLocalStorage<RequestScope>;

export const createRequestScopes = (): RequestScopes => new AsyncLocalStorage<RequestScope>();

/** Joins the listen of a request to what its scope hears; returns the undo. */
export function joinScope(
	scope: RequestScope,
	listener: (event: ServerEvent) => void,
	channels: HeardChannels,
	report: (error: FanoutError) => void,
): () => void {
	if (scope.listen !== undefined) throw new FanoutError("Unsupported", "one request opens one subscription");
	const held = scope.channels.map((channel) => channels.acquire(channel));
	let filter: Filter | undefined;
	let isJoined = true;

	/** Whatever changed lately, told to a client that may have been away meanwhile. */
	async function catchUp(asked: Filter): Promise<void> {
		await Promise.all(held.map((heard) => heard.ready(scope.catchUpMs)));
		const sinceMs = scope.now() - scope.catchUpMs;
		const changed = (key: string) => held.some(({ recent }) => recent.hasSince(key, sinceMs));
		if (!isJoined) return;
		listen.catchUp({
			kinds: asked.kinds.filter(changed),
			uris: asked.uris.filter((uri) => changed(keyOf({ kind: "resource_updated", uri }))),
		});
	}

	const listen = new Listen(
		{
			acknowledged(self, asked) {
				if (!isJoined) return;
				for (const { audience } of held) {
					audience.remove(self, filter);
					audience.add(self, asked);
				}
				filter = asked;
				catchUp(asked ?? { kinds: LIST_KINDS, uris: [] }).catch((error) =>
					report(asFanoutError(error, "TransportUnavailable", "a listen could not catch up")),
				);
			},
			closed: (self) => scope.closed(self),
			report: (error) => report(asFanoutError(error, "Unsupported", "a listen failed")),
		},
		listener,
	);
	for (const { audience } of held) audience.add(listen, undefined);
	scope.listen = listen;
	return () => {
		if (!isJoined) return;
		isJoined = false;
		for (const heard of held) {
			heard.audience.remove(listen, filter);
			channels.release(heard);
		}
	};
}
