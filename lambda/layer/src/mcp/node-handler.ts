/**
 * `toNodeHandler`: a handler on node:http, Express or whatever else has their request and response, with the name and
 * the shape of the SDK's own adapter: `parsedBody` and `req.auth` pass through. What it adds: frames of listens are
 * written to their socket by the call that delivers them, at half the CPU; a stream's head leaves before its first frame;
 * a body is bounded in time as well; a stream that breaks is broken off, never ended as if that were all.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { chunkOf, directSocket } from "../core/chunked.ts";
import { systemClock, type Timer } from "../core/clock.ts";
import { type Leaving, leavingOf, type Outlet } from "../core/outlet.ts";
import { isLost, streamOf, whenOver } from "../core/response-end.ts";
import type { FetchHandler } from "./fleet-handler.ts";
import type { AuthInfoLike } from "./identity.ts";
import { writeBody } from "./node-body.ts";
import { resolveBodyBounds, toRequest } from "./node-request.ts";
import type { BodyBounds } from "./session/body.ts";
import { INTERNAL_ERROR, refuse } from "./session/refusal.ts";

const DEFAULT_END_GRACE_MS = 5_000;

export interface NodeHandlerOptions extends Partial<BodyBounds> {
	/** How long the client of a listen that has ended may take what is left, in milliseconds. Default 5 seconds. */
	readonly endGraceMs?: number | undefined;
	/** Told what the handler threw, and what broke a stream; the client is told nothing of it. */
	onerror?(error: Error): void;
}

/** Resolves when the response has ended, whoever ended it. A function in the third place, as Express has, is no body. */
export type NodeHandler = (
	req: IncomingMessage & { readonly auth?: AuthInfoLike | undefined },
	res: ServerResponse,
	parsedBody?: unknown,
) => Promise<void>;

export function toNodeHandler(handler: FetchHandler, options: NodeHandlerOptions = {}): NodeHandler {
	const bounds = resolveBodyBounds(options);
	const { endGraceMs = DEFAULT_END_GRACE_MS } = options;

	function report(error: unknown): void {
		try {
			options.onerror?.(error instanceof Error ? error : new Error(String(error)));
		} catch {
			// Who is told of errors and throws has nobody left to tell.
		}
	}

	async function ask(req: Parameters<NodeHandler>[0], parsedBody: unknown, signal: AbortSignal): Promise<Response> {
		const extra = { ...(req.auth && { authInfo: req.auth }), ...(parsedBody !== undefined && { parsedBody }) };
		try {
			const request = await toRequest(req, parsedBody, bounds, signal);
			return request instanceof Response ? request : await handler.fetch(request, extra);
		} catch (error) {
			report(error);
			return refuse(500, "Internal server error", { code: INTERNAL_ERROR });
		}
	}

	return async (req, res, given) => {
		const left = new AbortController();
		whenOver(res, () => {
			// On HTTP/2 one that was broken off counts as finished.
			if (!res.writableEnded || !res.writableFinished) left.abort();
		});
		if (isLost(res)) left.abort();
		const response = await ask(req, typeof given === "function" ? undefined : given, left.signal);
		try {
			await answer(req, res, response, { report, endGraceMs });
		} catch (error) {
			if (!isClients(error)) report(error);
			res.destroy();
			// Whoever makes the body hears that nobody takes it; one that is being read knows already.
			await response.body?.cancel().catch(() => {});
		}
	};
}

async function answer({ method }: IncomingMessage, res: ServerResponse, response: Response, how: Leave): Promise<void> {
	const { body } = response;
	const isGone = isLost(res);
	// On a connection that is kept, whoever is sent away or comes back would ask the same process again.
	if (isHeld(method, response)) res.shouldKeepAlive = false;
	if (!isGone) res.writeHead(response.status, headersFor(res, response));
	if (isGone || body === null || method === "HEAD") {
		if (!isGone) res.end();
		await body?.cancel();
		return;
	}
	// Whoever waits for the head of a stream must not wait for its first frame.
	res.flushHeaders();
	await (leave(body, res, how) ?? writeBody(body, res));
}

/** A stream that stays open, or a request that shall be made again. */
function isHeld(method: string | undefined, { status, headers, body }: Response): boolean {
	if (status === 503 || (body !== null && leavingOf(body) !== undefined)) return true;
	return method === "GET" && headers.get("content-type")?.startsWith("text/event-stream") === true;
}

/** The client left, or did not read what it was sent. */
function isClients(error: unknown): boolean {
	const { name, code } = error as { readonly name?: unknown; readonly code?: unknown };
	return name === "AbortError" || code === "ERR_STREAM_PREMATURE_CLOSE";
}

function headersOf({ headers }: Response): Record<string, string | string[]> {
	const cookies = headers.getSetCookie();
	return { ...Object.fromEntries(headers), ...(cookies.length > 0 && { "set-cookie": cookies }) };
}

/** HTTP/2 has no `connection`: there the stream is closed behind its answer, or a body that was refused would hold it. */
function headersFor(res: ServerResponse, response: Response): ReturnType<typeof headersOf> {
	const { connection, ...headers } = headersOf(response);
	const stream = streamOf(res);
	if (connection === undefined) return headers;
	if (stream === undefined) return { ...headers, connection };
	stream.once("finish", () => stream.close());
	return headers;
}

interface Leave {
	readonly endGraceMs: number;
	report(error: unknown): void;
}

/** Undefined when the body has no other way than through a stream. Resolves when the response is over. */
function leave(body: ReadableStream<Uint8Array>, res: ServerResponse, how: Leave): Promise<void> | undefined {
	const leaving = leavingOf(body);
	if (leaving === undefined) return undefined;
	const outlet = new ResponseOutlet(res, leaving, how);
	leaving.leaveBy(outlet);
	return new Promise((resolve) => {
		whenOver(res, () => {
			outlet.closed();
			leaving.cancel();
			resolve();
		});
	});
}

class ResponseOutlet implements Outlet {
	readonly #leaving: Leaving;
	readonly #res: ServerResponse;
	readonly #socket: Socket | undefined;
	readonly #how: Leave;
	#grace: Timer | undefined;

	constructor(res: ServerResponse, leaving: Leaving, how: Leave) {
		this.#leaving = leaving;
		this.#res = res;
		this.#socket = directSocket(res);
		this.#how = how;
	}

	write(text: string): boolean {
		const target = this.#socket ?? this.#res;
		// After the client's FIN, or when the application ended the response itself, `close` is about to follow.
		if (!target.writable || this.#res.writableEnded) return true;
		const isTaken = this.#socket?.write(chunkOf(text), "latin1") ?? this.#res.write(text, "latin1");
		if (!isTaken) target.once("drain", () => this.#leaving.room());
		return isTaken;
	}

	ending(): void {
		this.#grace ??= systemClock.after(this.#how.endGraceMs, () => this.#res.destroy());
	}

	end(): void {
		this.ending();
		this.#res.end();
	}

	fail(error: unknown): void {
		if (!isClients(error)) this.#how.report(error);
		this.#res.destroy();
	}

	closed(): void {
		this.#grace?.cancel();
	}
}
