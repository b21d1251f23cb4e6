/** A client's initialize: a server is built and answers it, and the session is in the registry before the client hears. */
import { type Channel, everyTenantChannel } from "../../core/channel.ts";
import { asFanoutError } from "../../core/errors.ts";
import type { Response as Answer, Request as Ask } from "../../core/message.ts";
import { signalOf } from "../../core/request-signal.ts";
import type { Identity } from "../identity.ts";
import type { SessionFacts } from "./facts.ts";
import type { SessionHost } from "./host.ts";
import type { LiveSession, Visit } from "./live-session.ts";
import type { LiveSessions } from "./live-sessions.ts";
import { PostStream, type ResponseMode } from "./post-stream.ts";
import { refuseFailed } from "./refusal.ts";
import type { SessionStore } from "./store.ts";

export interface OpeningDeps {
	readonly host: SessionHost;
	readonly store: SessionStore;
	readonly live: LiveSessions;
	readonly mode: ResponseMode;
}

export interface Opening {
	readonly channel: Channel;
	readonly identity: Identity;
	readonly hello: Ask;
	readonly visit: Visit;
}

export async function openSession(deps: OpeningDeps, opening: Opening): Promise<Response> {
	const { host, live } = deps;
	const { channel, identity, hello, visit } = opening;
	let session: LiveSession | undefined;
	try {
		// First: what the server says while it is built comes after it.
		const floor = await host.cursorOf(channel, [...identity.channels, everyTenantChannel(host.namespace)]);
		session = live.begin(channel, identity.principal);
		const answer = await session.initialize(hello.params ?? {}, visit, false);
		const final = { ...answer, id: hello.id };
		if ("error" in answer) {
			await session.end();
			return Response.json(final);
		}
		const facts = factsOf(hello, answer, floor);
		const { state } = session;
		const created = await deps.store.create(channel, identity.principal, facts, state);
		const saved = session.state;
		session.refresh(created);
		// The application may have saved while the record was written.
		const amended = saved === state ? undefined : await deps.store.amend(channel, () => ({ state: saved }));
		if (amended !== undefined) session.refresh(amended);
		session.isReady = true;
		return respond(deps, opening, final);
	} catch (error) {
		await session?.end();
		const failure = asFanoutError(error, "Unsupported", "a session could not be opened");
		host.report(failure);
		return refuseFailed(failure);
	}
}

function factsOf(hello: Ask, { result }: Answer, floor: string): SessionFacts {
	const { protocolVersion, capabilities } = result as Readonly<Record<string, unknown>>;
	return {
		initialize: hello.params ?? {},
		protocol: String(protocolVersion),
		capabilities: (capabilities ?? {}) as SessionFacts["capabilities"],
		uris: [],
		get: { instance: "", n: 0, floor },
	};
}

function respond({ host, mode }: OpeningDeps, { channel, hello, visit }: Opening, answer: Answer): Promise<Response> {
	const headers = { "mcp-session-id": channel.id };
	const signal = signalOf(visit.request);
	const post = new PostStream({ clock: host.clock, ids: [hello.id], isBatch: false, mode, headers, signal });
	post.answer(answer);
	return post.response;
}
