/**
 * `createSessionHandler`: MCP sessions of the protocol versions before 2026-07-28, on any process of a fleet and
 * without sticky routing. The session is in the registry; whichever process a request comes to takes it over.
 * Used by `createFleetHandler` when `sessions` is given; alone, for who routes the eras by hand.
 */
import { randomUUID } from "node:crypto";
import { createChannel, everyTenantChannel } from "../../core/channel.ts";
import { pause } from "../../core/clock.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Request as Ask } from "../../core/message.ts";
import { hasPriming } from "../../core/session-client.ts";
import { type AuthInfoLike, expiryOf, type Identity } from "../identity.ts";
import { readJson } from "./body.ts";
import { checkAccept, checkAddress, checkVersion } from "./checks.ts";
import type { SessionFactory } from "./factory.ts";
import { Gets } from "./gets.ts";
import { Hearing } from "./hearing.ts";
import type { SessionHost } from "./host.ts";
import type { Visit } from "./live-session.ts";
import { LiveSessions } from "./live-sessions.ts";
import { Looks } from "./looks.ts";
import { openSession } from "./opening.ts";
import { resolveSessionOptions, type SessionOptions } from "./options.ts";
import { Peers, type Word } from "./peers.ts";
import { isRequest, readPosted, servePost } from "./post.ts";
import { type PostEvent, PostLogs, readEventId } from "./post-log.ts";
import { replayPost } from "./post-replay.ts";
import { refuse, refuseFailed, refuseForNow, sessionNotFound } from "./refusal.ts";
import { Signs } from "./signs.ts";
import { SessionStore } from "./store.ts";

const ID = /^[\w-]{1,128}$/;
const JSON_TYPE = "application/json";
const SSE_TYPE = "text/event-stream";
const DRAIN_POLL_MS = 50;

export interface SessionCall {
	readonly request: Request;
	readonly authInfo: AuthInfoLike | undefined;
	readonly identity: Identity;
	readonly parsedBody?: unknown;
}

/** A session handler without its own reading of identities. */
export interface SessionServer {
	/** Undefined for a request without a session that shall be served without one. */
	serve(call: SessionCall): Promise<Response | undefined>;
	/** Sessions at work in this process. */
	readonly size: number;
	/** Waits for what runs, `graceMs` at most, then gives all back. GET streams are the fanout's to end. */
	drain(graceMs: number): Promise<void>;
	close(): Promise<void>;
}

export function createSessionServer(
	host: SessionHost,
	factory: SessionFactory,
	given: SessionOptions = {},
): SessionServer {
	if (typeof factory !== "function") {
		throw new FanoutError("ConfigInvalid", "sessions are given the function that builds the server of one");
	}
	const options = resolveSessionOptions(given);
	const { clock } = host;
	const store = new SessionStore(host, options);
	const logs = options.maxLogged === undefined ? undefined : new PostLogs(host, options.maxLogged);
	const signs = new Signs(host.instanceId);
	const replays = new Map<string, () => void>();
	const endReplays = () => {
		for (const end of [...replays.values()]) end();
	};
	const { idleMs, maxSessions, coalesce } = options;
	const live = new LiveSessions(
		{
			...{ host, store, looks: () => looks, factory, changed: (stored, ask) => hearing.changed(stored, ask) },
			listen: host.follow === "held" ? () => peers.listen() : undefined,
		},
		maxSessions,
	);
	const gets = new Gets({ host, store, looks: () => looks, peers: () => peers, retryMs: options.retryMs, coalesce });
	const looks: Looks = new Looks({ store, known: (channel) => [gets.factsOf(channel), live.find(channel)?.stored] });
	const hearing = new Hearing({ host, live, gets, looks, signs, logs, idleMs, peers: () => peers });
	const peers: Peers = new Peers(host, hearing);
	const { retryMs, responseMode: mode } = options;
	const posting = { host, peers, gets, mode, logs, retryMs };
	peers.opened.catch((error) => host.report(asFanoutError(error, "TransportUnavailable", "peers are not heard")));
	let isClosed = false;
	let timer = clock.after(options.sweepMs, beat);
	// A server that is frozen hears nothing: the next call takes the session over from its record.
	const unsettle = host.onSettle(async () => {
		if (host.follow !== "held") return;
		await live.rest("the process that ran the request has stopped: call again");
		await peers.close();
	});

	function beat(): void {
		hearing
			.sweep()
			.catch((error) => host.report(asFanoutError(error, "TransportUnavailable", "a sweep of sessions")))
			.finally(() => {
				if (!isClosed) timer = clock.after(options.sweepMs, beat);
			});
	}

	const channelOf = ({ headers }: Request, { tenant }: Identity): Word["session"] | Response => {
		const id = headers.get("mcp-session-id");
		if (id === null) return refuse(400, "Bad Request: Mcp-Session-Id header is required");
		return ID.test(id) ? createChannel("session", id, { namespace: host.namespace, tenant }) : sessionNotFound();
	};

	async function post({ request, authInfo, identity, parsedBody }: SessionCall): Promise<Response | undefined> {
		const refused = checkAccept(request, [JSON_TYPE, SSE_TYPE]);
		if (refused !== undefined) return refused;
		const read = parsedBody === undefined ? await readJson(request, options, clock) : { body: parsedBody };
		if (read instanceof Response) return read;
		const posted = readPosted(read.body);
		if (posted instanceof Response) return posted;
		const visit: Visit = { request, authInfo };
		const hello = posted.messages.find(
			(message): message is Ask => isRequest(message) && message.method === "initialize",
		);
		if (hello !== undefined) {
			if (posted.messages.length > 1) return refuse(400, "Invalid Request: initialize stands alone");
			const channel = createChannel("session", randomUUID(), { namespace: host.namespace, tenant: identity.tenant });
			return openSession({ host, store, live, mode: options.responseMode }, { channel, identity, hello, visit });
		}
		if (options.sessionless === "stateless" && !request.headers.has("mcp-session-id")) return undefined;
		const channel = channelOf(request, identity);
		if (channel instanceof Response) return channel;
		const wrong = checkVersion(request);
		if (wrong !== undefined) return wrong;
		const session = await live.visit(channel, identity.principal, visit);
		if (session instanceof Response) return session;
		return servePost(posting, session, posted, visit);
	}

	async function get(call: SessionCall): Promise<Response> {
		const { request, authInfo, identity } = call;
		const channel = channelOf(request, identity);
		const refused = checkAccept(request, [SSE_TYPE]) ?? checkVersion(request);
		if (refused !== undefined) return refused;
		if (channel instanceof Response) return channel;
		const event = logs === undefined ? undefined : readEventId(request.headers.get("last-event-id"), channel);
		if (event !== undefined && logs !== undefined) return replay(call, channel, event, logs);
		const session = live.find(channel);
		const known = session?.principal === identity.principal ? session?.stored : undefined;
		const channels = [channel, ...identity.channels, everyTenantChannel(host.namespace)] as const;
		const { principal } = identity;
		const response = await gets.open({ request, channels, principal, known, expiresAtMs: expiryOf(authInfo) });
		// Those that were there at the close have been ended by it.
		if (isClosed) gets.end(channel);
		return response;
	}

	async function replay(
		{ request, authInfo, identity }: SessionCall,
		channel: Word["session"],
		event: PostEvent,
		made: PostLogs,
	): Promise<Response> {
		const stored = await store.read(channel);
		if (stored === undefined || stored.principal !== identity.principal) return sessionNotFound();
		// As many at once as sessions may be at work: each holds a feed.
		if (signs.size >= maxSessions) return refuseForNow(`${maxSessions} streams are resumed now, the most accepted`);
		const primes = hasPriming(stored.facts.protocol);
		const listening = await peers.listen();
		const deps = { host, peers, listening, logs: made, signs, open: replays, retryMs, primes };
		const response = await replayPost(deps, { request, session: channel, event, expiresAtMs: expiryOf(authInfo) });
		if (isClosed) endReplays();
		return response;
	}

	async function remove({ request, identity }: SessionCall): Promise<Response> {
		const channel = channelOf(request, identity);
		const refused = checkVersion(request);
		if (refused !== undefined) return refused;
		if (channel instanceof Response) return channel;
		try {
			const stored = await store.read(channel);
			if (stored === undefined || stored.principal !== identity.principal) return sessionNotFound();
			await store.remove(channel);
		} catch (error) {
			host.report(asFanoutError(error, "TransportUnavailable", "a session could not be ended"));
			return refuseForNow("the session registry cannot be reached now: try again");
		}
		// The client may ask another process next: that one is told before the client is.
		await peers.tellAll({ kind: "ended", session: channel });
		await hearing.end(channel);
		return new Response(null, { status: 200 });
	}

	return {
		async serve(call) {
			const { request } = call;
			const refused = checkAddress(request, options);
			if (refused !== undefined) return refused;
			if (isClosed) return refuseForNow("this process is going away: try again");
			try {
				await peers.opened;
				if (request.method === "POST") return await post(call);
				if (request.method === "GET") return await get(call);
				if (request.method === "DELETE") return await remove(call);
			} catch (error) {
				const failure = asFanoutError(error, "Unsupported", "a session's request failed");
				host.report(failure);
				return refuseFailed(failure);
			}
			return refuse(405, "Method not allowed", { headers: { allow: "GET, POST, DELETE" } });
		},
		get size() {
			return live.size;
		},
		async drain(graceMs) {
			const end = clock.monotonic() + graceMs;
			while (live.busy > 0 && clock.monotonic() < end) await pause(clock, DRAIN_POLL_MS, undefined, true);
			await this.close();
		},
		async close() {
			if (isClosed) return;
			isClosed = true;
			timer.cancel();
			for (const channel of gets.channels()) gets.end(channel);
			// Without peers they would take their requests' process for dead.
			endReplays();
			unsettle();
			await live.close("this process is going away: call again");
			await peers.close();
		},
	};
}
