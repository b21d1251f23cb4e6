/** A request of node:http as a web-standard one, its body read before, within bounds of bytes and of time. */
import type { IncomingMessage } from "node:http";
import { systemClock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { FanoutError, isFanoutError } from "../core/errors.ts";
import { isHost } from "../core/host.ts";
import { type BodyBounds, DEFAULT_BODY_TIMEOUT_MS, DEFAULT_MAX_BODY_BYTES } from "./session/body.ts";
import { refuse } from "./session/refusal.ts";

export function resolveBodyBounds(given: Partial<BodyBounds>): BodyBounds {
	const { maxBodyBytes = DEFAULT_MAX_BODY_BYTES, bodyTimeoutMs = DEFAULT_BODY_TIMEOUT_MS } = given;
	for (const [name, value] of Object.entries({ maxBodyBytes, bodyTimeoutMs })) {
		if (Number.isFinite(value) && value > 0) continue;
		throw new FanoutError("ConfigInvalid", `${name} must be a positive number, not ${String(value)}`);
	}
	return { maxBodyBytes, bodyTimeoutMs };
}

/** Or the answer to one that cannot be read: its connection is closed, since what is left of it is for nobody. */
export async function toRequest(
	req: IncomingMessage,
	parsedBody: unknown,
	bounds: BodyBounds,
	signal: AbortSignal,
): Promise<Request | Response> {
	const { method = "GET" } = req;
	const headers = headersOf(req);
	let body: string | Buffer | undefined;
	if (method !== "GET" && method !== "HEAD") {
		if (parsedBody === undefined) {
			const read = await readBody(req, bounds, signal);
			if (read instanceof Response) return read;
			body = read;
		} else {
			// It was decoded, and is spelled anew.
			for (const name of ["content-encoding", "content-length", "transfer-encoding"]) headers.delete(name);
			body = JSON.stringify(parsedBody);
		}
	}
	try {
		const url = urlOf(req, headers);
		return new Request(url, { method, headers, signal, ...(body !== undefined && body.length > 0 && { body }) });
	} catch {
		return closing(400, "Bad Request: no such method, host or path");
	}
}

/** Throws where the request says none, or a Host that would be read as a part of the path. */
function urlOf({ url = "/" }: IncomingMessage, headers: Headers): string {
	const host = headers.get("host") || "localhost";
	// As a proxy is asked: a server has to take that too.
	const path = url.replace(/^https?:\/\/[^/?#]*/i, "") || "/";
	if (!isHost(host) || !path.startsWith("/")) throw new FanoutError("Unsupported", "no host or path");
	return `http://${host}${path}`;
}

function headersOf({ headers: given }: IncomingMessage): Headers {
	const headers = new Headers();
	for (const [name, value] of Object.entries(given)) {
		// HTTP/2 has some that are none.
		if (value === undefined || name.startsWith(":")) continue;
		for (const one of typeof value === "string" ? [value] : value) headers.append(name, one);
	}
	const authority = given[":authority"];
	if (typeof authority === "string" && !headers.has("host")) headers.set("host", authority);
	return headers;
}

async function readBody(
	req: IncomingMessage,
	{ maxBodyBytes, bodyTimeoutMs }: BodyBounds,
	signal: AbortSignal,
): Promise<Buffer | Response> {
	const tooLarge = () => closing(413, `Payload Too Large: at most ${maxBodyBytes} bytes are accepted`);
	if (Number(req.headers["content-length"]) > maxBodyBytes) return tooLarge();
	try {
		const read = () => collect(req, maxBodyBytes);
		return (await withDeadline(systemClock, bodyTimeoutMs, "reading a body", read, signal)) ?? tooLarge();
	} catch (error) {
		if (isFanoutError(error, "DeadlineExceeded")) {
			return closing(408, `Request Timeout: the body took longer than ${bodyTimeoutMs} ms`);
		}
		return closing(400, "the body could not be read");
	}
}

/** Undefined when it is longer; what follows is left unread, and the connection is there for the answer. */
async function collect(req: IncomingMessage, maxBytes: number): Promise<Buffer | undefined> {
	const parts: Buffer[] = [];
	let bytes = 0;
	for await (const part of req.iterator({ destroyOnReturn: false })) {
		bytes += part.length;
		if (bytes > maxBytes) return undefined;
		parts.push(part);
	}
	return Buffer.concat(parts);
}

function closing(status: number, message: string): Response {
	return refuse(status, message, { headers: { connection: "close" } });
}
