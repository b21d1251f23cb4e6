/**
 * Whose request it is, carried from the fleet handler to the bus by AsyncLocalStorage: the SDK subscribes in the same
 * async context in which its `fetch` was called. One storage per fanout.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Channel } from "../core/channel.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import type { Filter } from "./audience.ts";
import { keyOf, keyOfUri, LIST_KINDS, type ServerEvent } from "./change.ts";
import type { HeardChannel } from "./heard-channel.ts";
import type { HeardChannels } from "./heard-channels.ts";
import { Listen, type ListenHost } from "./listen.ts";

/** What a session's server does is of its tenant, whatever made it do that. */
export interface TenantScope {
	readonly tenant: string;
}

export interface RequestScope extends TenantScope {
	/** What a listen of this request hears. */
	readonly channels: readonly Channel[];
	readonly catchUpMs: number;
	/** Called when the body of the listen has ended. */
	closed(listen: Listen): void;
	monotonic(): number;
	/** The listen that the request opened. */
	listen: Listen | undefined;
}

export type RequestScopes = AsyncLocalStorage<TenantScope | RequestScope>;

export const createRequestScopes = (): RequestScopes => new AsyncLocalStorage();

/** Joins the listen of a request to what its scope hears; returns the undo. */
export function joinScope(
	scope: RequestScope,
	listener: (event: ServerEvent) => void,
	channels: HeardChannels,
	report: (error: FanoutError) => void,
): () => void {
	if (scope.listen !== undefined) throw new FanoutError("Unsupported", "one request opens one subscription");
	const joined = new Joined(scope, channels, report);
	joined.add(new Listen(joined, listener));
	return () => joined.leave();
}

class Joined implements ListenHost {
	readonly #scope: RequestScope;
	readonly #channels: HeardChannels;
	readonly #report: (error: FanoutError) => void;
	readonly #held: readonly HeardChannel[];
	#filter: Filter | undefined;
	#isJoined = true;

	constructor(scope: RequestScope, channels: HeardChannels, report: (error: FanoutError) => void) {
		this.#scope = scope;
		this.#channels = channels;
		this.#report = report;
		this.#held = scope.channels.map((channel) => channels.acquire(channel));
	}

	add(listen: Listen): void {
		this.#scope.listen = listen;
		for (const { audience } of this.#held) audience.add(listen, undefined);
	}

	leave(): void {
		const { listen } = this.#scope;
		if (!this.#isJoined || listen === undefined) return;
		this.#isJoined = false;
		for (const heard of this.#held) {
			heard.audience.remove(listen, this.#filter);
			this.#channels.release(heard);
		}
	}

	acknowledged(listen: Listen, asked: Filter | undefined): void {
		if (!this.#isJoined) return;
		for (const { audience } of this.#held) {
			audience.remove(listen, this.#filter);
			audience.add(listen, asked);
		}
		this.#filter = asked;
		this.#catchUp(listen, asked ?? { kinds: LIST_KINDS, uris: [] }).catch((error) =>
			this.#report(asFanoutError(error, "TransportUnavailable", "a listen could not catch up")),
		);
	}

	closed(listen: Listen): void {
		this.#scope.closed(listen);
	}

	report(error: unknown): void {
		this.#report(asFanoutError(error, "Unsupported", "a listen failed"));
	}

	/** Whatever changed lately, told to a client that may have been away meanwhile. */
	async #catchUp(listen: Listen, asked: Filter): Promise<void> {
		const { catchUpMs } = this.#scope;
		await Promise.all(this.#held.map((heard) => heard.ready(catchUpMs)));
		const sinceMs = this.#scope.monotonic() - catchUpMs;
		const changed = (key: string) => this.#held.some(({ recent }) => recent.hasSince(key, sinceMs));
		if (!this.#isJoined) return;
		listen.catchUp({
			kinds: asked.kinds.filter((kind) => changed(keyOf({ kind }))),
			uris: asked.uris.filter((uri) => changed(keyOfUri(uri))),
		});
	}
}
