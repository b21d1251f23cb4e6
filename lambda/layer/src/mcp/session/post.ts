/**
 * One POST of a session: its messages are checked, and each goes where it belongs: to the server here, or to a process
 * that waits for it.
 */
import { asFanoutError } from "../../core/errors.ts";
import { type Request as Ask, type Message, parseMessage, type RequestId } from "../../core/message.ts";
import { signalOf } from "../../core/request-signal.ts";
import { hasPriming } from "../../core/session-client.ts";
import { expiryOf } from "../identity.ts";
import { askerOf } from "./asks.ts";
import { ASSUMED_VERSION, BATCH_VERSION } from "./checks.ts";
import type { Gets } from "./gets.ts";
import type { SessionHost } from "./host.ts";
import { extraOf, INITIALIZED, type LiveSession, type Visit } from "./live-session.ts";
import type { Peers } from "./peers.ts";
import type { PostLogs } from "./post-log.ts";
import { PostStream, type ResponseMode } from "./post-stream.ts";
import { INVALID_REQUEST, refuse, refuseFailed } from "./refusal.ts";
import { misshapen } from "./shape.ts";

export const MAX_BATCH = 100;
/** Requests of one session that run in this process at once. */
export const MAX_REQUESTS = 1_000;
const RETRY = { "retry-after": "1" };
const ROOTS_CHANGED = "notifications/roots/list_changed";

export interface Posted {
	readonly messages: readonly [Message, ...Message[]];
	readonly isBatch: boolean;
}

export function readPosted(body: unknown): Posted | Response {
	const isBatch = Array.isArray(body);
	const given: unknown[] = isBatch ? body : [body];
	if (given.length === 0 || given.length > MAX_BATCH) {
		return refuse(400, `Invalid Request: a batch has 1 to ${MAX_BATCH} messages`, { code: INVALID_REQUEST });
	}
	try {
		const messages = given.map(parseMessage) as [Message, ...Message[]];
		const wrong = messages.map(misshapen).find((why) => why !== undefined);
		if (wrong !== undefined) return refuse(400, `Invalid Request: ${wrong}`, { code: INVALID_REQUEST });
		return { messages, isBatch };
	} catch (error) {
		const { message } = asFanoutError(error, "InvalidMessage", "not JSON-RPC");
		return refuse(400, `Invalid Request: ${message}`, { code: INVALID_REQUEST });
	}
}

export const isRequest = (message: Message): message is Ask => "method" in message && "id" in message;

export interface PostDeps {
	readonly host: SessionHost;
	readonly peers: Peers;
	readonly gets: Gets;
	readonly mode: ResponseMode;
	/** There when POST streams can be resumed. */
	readonly logs: PostLogs | undefined;
	readonly retryMs: number;
}

export async function servePost(deps: PostDeps, session: LiveSession, posted: Posted, visit: Visit): Promise<Response> {
	const { messages, isBatch } = posted;
	const protocol = session.stored?.facts.protocol ?? ASSUMED_VERSION;
	const spoken = visit.request.headers.get("mcp-protocol-version") ?? protocol;
	if (isBatch && spoken !== BATCH_VERSION) {
		return refuse(400, `Invalid Request: ${spoken} has no batches`, { code: INVALID_REQUEST });
	}
	const asks = messages.filter(isRequest);
	const refused = refusedAsks(session, asks);
	if (refused !== undefined) return refused;
	const extra = extraOf(visit);
	for (const message of messages) {
		if (isRequest(message)) continue;
		const unpassed = await pass(deps, session, message, extra);
		if (unpassed !== undefined) return unpassed;
	}
	if (asks.length === 0) return new Response(null, { status: 202 });
	// Other posts may have come while answers were passed on.
	const late = refusedAsks(session, asks);
	if (late !== undefined) return late;
	const ids = asks.map(({ id }) => id);
	const stream = openStream(deps, session, ids, isBatch, visit);
	const polling = pollingOf(deps, session, stream);
	for (const ask of asks) session.request(ask, stream, { ...extra, ...polling });
	return stream.response;
}

function refusedAsks({ transport }: LiveSession, asks: readonly Ask[]): Response | undefined {
	const ids = new Set(asks.map(({ id }) => id));
	if (ids.size < asks.length || asks.some(({ id }) => transport.isAsked(id))) {
		return refuse(400, "Invalid Request: a request of this id waits for its answer", { code: INVALID_REQUEST });
	}
	if (transport.requests + asks.length <= MAX_REQUESTS) return undefined;
	return refuse(429, `${MAX_REQUESTS} requests of this session run here, the most accepted`, { headers: RETRY });
}

function openStream(
	{ host, mode, logs, retryMs }: PostDeps,
	{ channel, stored }: LiveSession,
	ids: readonly RequestId[],
	isBatch: boolean,
	{ request, authInfo }: Visit,
): PostStream {
	const headers = { "mcp-session-id": channel.id };
	const primes = hasPriming(stored?.facts.protocol ?? ASSUMED_VERSION) ? { retryMs } : undefined;
	const [log, expiresAtMs, signal] = [logs?.create(channel), expiryOf(authInfo), signalOf(request)];
	return new PostStream({ clock: host.clock, ids, isBatch, mode, headers, signal, expiresAtMs, log, primes });
}

/** What lets a server end streams that clients come back for: offered where they can, and requests run on meanwhile. */
function pollingOf({ host, gets, logs }: PostDeps, { channel, stored }: LiveSession, stream: PostStream): object {
	if (!hasPriming(stored?.facts.protocol ?? ASSUMED_VERSION)) return {};
	const closeStandaloneSSEStream = () => void gets.endEverywhere(channel, stored);
	if (logs === undefined || host.follow === "held") return { closeStandaloneSSEStream };
	return { closeStandaloneSSEStream, closeSSEStream: () => stream.pause() };
}

/** A notification or an answer; the refusal, if it must be posted again. */
async function pass(
	deps: PostDeps,
	session: LiveSession,
	message: Message,
	extra: object,
): Promise<Response | undefined> {
	const { host, peers } = deps;
	const { channel, transport } = session;
	const method = "method" in message ? message.method : undefined;
	if (method === "notifications/cancelled" && "method" in message) {
		if (transport.isAsked(message.params?.requestId as string)) session.hear(message, extra);
		else peers.tellAll({ kind: "notice", session: channel, message });
		return undefined;
	}
	const named = "method" in message ? message.params?.progressToken : message.id;
	const isReply = method === undefined || method === "notifications/progress";
	const asker = isReply ? askerOf(named) : undefined;
	if (!isReply) session.hear(message, extra);
	// The session's other servers have to know as well.
	const isForAll = method === ROOTS_CHANGED || (method === INITIALIZED && session.isAdopted);
	if (isForAll) peers.tellAll({ kind: "notice", session: channel, message });
	// An answer that nobody asked for is taken and dropped, as one whose asker is gone.
	if (asker === host.instanceId) transport.reply(message, extra);
	if (asker === undefined || asker === host.instanceId) return undefined;
	try {
		await peers.tell(asker, { kind: "reply", session: channel, message });
		return undefined;
	} catch (error) {
		const failure = asFanoutError(error, "TransportUnavailable", "an answer could not be passed on", true);
		host.report(failure);
		// It will never be smaller, nor nested less: who asked is not left waiting for it.
		const isTooDeep = failure.code === "InvalidMessage";
		if ((isTooDeep || failure.code === "PayloadTooLarge") && !("method" in message)) {
			const said = { code: -32_000, message: `the client's answer cannot be passed on: ${failure.message}` };
			const reply = { jsonrpc: "2.0", id: message.id, error: said } as const;
			await peers.tell(asker, { kind: "reply", session: channel, message: reply }).catch(host.report);
		}
		return isTooDeep
			? refuse(400, "Invalid Request: it is nested too deep", { code: INVALID_REQUEST })
			: refuseFailed(failure);
	}
}
