/**
 * A request's JSON body, read once: first its type is looked at, then it is read up to a bound of bytes and of time,
 * then parsed.
 */
import type { Clock } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { FanoutError, isFanoutError } from "../../core/errors.ts";
import { PARSE_ERROR, refuse } from "./refusal.ts";

/** The SDK's own default. */
export const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;
export const DEFAULT_BODY_TIMEOUT_MS = 30_000;

export interface BodyBounds {
	readonly maxBodyBytes: number;
	readonly bodyTimeoutMs: number;
}

/** The media type, whatever its parameters; a header that lists several is none. */
export function isJson(contentType: string | null): boolean {
	return contentType !== null && /^\s*application\/json\s*(?:;[^,]*)?$/i.test(contentType);
}

/** The parsed body, or the answer to one that cannot be read. */
export async function readJson(
	request: Request,
	{ maxBodyBytes, bodyTimeoutMs }: BodyBounds,
	clock: Clock,
): Promise<{ readonly body: unknown } | Response> {
	if (!isJson(request.headers.get("content-type"))) {
		return refuse(415, "Unsupported Media Type: Content-Type must be application/json");
	}
	if (request.bodyUsed) throw new FanoutError("Unsupported", "the body was read already: pass it on as parsedBody");
	let text: string | undefined;
	try {
		const read = (signal: AbortSignal) => readText(request, maxBodyBytes, signal);
		text = await withDeadline(clock, bodyTimeoutMs, "reading a body", read);
	} catch (error) {
		if (isFanoutError(error, "DeadlineExceeded")) {
			return refuse(408, `Request Timeout: the body took longer than ${bodyTimeoutMs} ms`);
		}
		// The client left in the middle, or sent no UTF-8: either way there is nobody to tell more.
		return refuse(400, "the body could not be read", { code: PARSE_ERROR });
	}
	if (text === undefined) return refuse(413, `Payload Too Large: at most ${maxBodyBytes} bytes are accepted`);
	try {
		return { body: JSON.parse(text) };
	} catch {
		// A parser quotes what it could not read, and content is for no answer and no log.
		return refuse(400, "Parse error: Invalid JSON", { code: PARSE_ERROR });
	}
}

/** Undefined when it is longer than `maxBytes`. */
async function readText(request: Request, maxBytes: number, signal: AbortSignal): Promise<string | undefined> {
	if (Number(request.headers.get("content-length")) > maxBytes) return undefined;
	if (request.body === null) return "";
	const decoder = new TextDecoder("utf-8", { fatal: true });
	const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
	let isWhole = false;
	// What the client still sends is for nobody.
	const letGo = () => void reader.cancel().catch(() => undefined);
	signal.addEventListener("abort", letGo, { once: true });
	let bytes = 0;
	let text = "";
	try {
		for (;;) {
			const { done, value } = await reader.read();
			isWhole = done;
			if (done) return text + decoder.decode();
			bytes += value.byteLength;
			if (bytes > maxBytes) return undefined;
			text += decoder.decode(value, { stream: true });
		}
	} finally {
		if (!isWhole) letGo();
	}
}
