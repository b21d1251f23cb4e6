/**
 * `createSessionHandler`: 2025-era sessions on any process of a fleet, alone: for who routes the eras by hand, or
 * serves clients of that era only. `createFleetHandler` does the same where its `sessions` is given.
 */
import { type DrainRequest, giveNotice } from "../core/drain.ts";
import { FanoutError } from "../core/errors.ts";
import { sentOn } from "../core/sent-on.ts";
import { holdsGet } from "../core/session-client.ts";
import { type FanoutBus, seamOf } from "./bus.ts";
import { createEntry } from "./entry.ts";
import type { FetchExtra } from "./fleet-handler.ts";
import type { IdentityOptions } from "./identity.ts";
import type { SessionFactory } from "./session/factory.ts";
import { createSessionServer } from "./session/handler.ts";
import type { SessionOptions } from "./session/options.ts";

export interface SessionHandlerOptions extends IdentityOptions, Omit<SessionOptions, "sessionless"> {
	readonly fanout: { bus(): FanoutBus; drain(how: DrainRequest): Promise<void> };
}

export interface SessionHandler {
	fetch(request: Request, extra?: FetchExtra): Promise<Response>;
	/** Whether the request holds a stream: a session's GET. */
	holds(request: Request): boolean;
	/** Sessions at work in this process. */
	readonly sessions: number;
	/** Ends GET streams at a jittered pace, lets what runs finish within `graceMs`, then gives all back. */
	drain(how: DrainRequest): Promise<void>;
	close(): Promise<void>;
}

export function createSessionHandler(factory: SessionFactory, options: SessionHandlerOptions): SessionHandler {
	const { fanout, principal, tenant, identityTimeoutMs, ...sessionOptions } = options;
	const deps = seamOf(fanout.bus())?.deps;
	if (deps === undefined) throw new FanoutError("ConfigInvalid", "sessions need a fanout of createFanout's");
	const { sessions: host, clock } = deps;
	const server = createSessionServer(host, factory, sessionOptions);
	const enter = createEntry({ principal, tenant, identityTimeoutMs }, deps);

	async function answer(request: Request, extra: FetchExtra | undefined): Promise<Response> {
		const authInfo = extra?.authInfo ?? undefined;
		const identity = await enter(request, authInfo);
		if (identity instanceof Response) return identity;
		const answered = await server.serve({ request, authInfo, identity, parsedBody: extra?.parsedBody });
		if (answered === undefined) throw new FanoutError("ConfigInvalid", "sessionless is for a fleet handler");
		return answered;
	}

	return {
		fetch: async (request, extra) => sentOn(request, await answer(request, extra)),
		holds: holdsGet,
		get sessions() {
			return server.size;
		},
		async drain(how) {
			const goAway = async () => server.drain(await giveNotice(how, clock));
			await Promise.all([fanout.drain(how), goAway()]);
		},
		close: () => server.close(),
	};
}
