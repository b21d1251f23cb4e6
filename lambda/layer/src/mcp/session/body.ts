/** A request's JSON body, read once: first its type is looked at, then it is read up to a bound, then parsed. */
import { FanoutError } from "../../core/errors.ts";
import { PARSE_ERROR, refuse } from "./refusal.ts";

/** The SDK's own default. */
export const DEFAULT_MAX_BODY_BYTES = 4 * 1024 * 1024;

/** The media type, whatever its parameters; a header that lists several is none. */
export function isJson(contentType: string | null): boolean {
	return contentType !== null && /^\s*application\/json\s*(?:;[^,]*)?$/i.test(contentType);
}

/** The parsed body, or the answer to one that cannot be read. */
export async function readJson(request: Request, maxBytes: number): Promise<{ readonly body: unknown } | Response> {
	if (!isJson(request.headers.get("content-type"))) {
		return refuse(415, "Unsupported Media Type: Content-Type must be application/json");
	}
	if (request.bodyUsed) throw new FanoutError("Unsupported", "the body was read already: pass it on as parsedBody");
	let text: string | undefined;
	try {
		text = await readText(request, maxBytes);
	} catch {
		// The client left in the middle, or sent no UTF-8: either way there is nobody to tell more.
		return refuse(400, "the body could not be read", { code: PARSE_ERROR });
	}
	if (text === undefined) return refuse(413, `Payload Too Large: at most ${maxBytes} bytes are accepted`);
	try {
		return { body: JSON.parse(text) };
	} catch {
		// A parser quotes what it could not read, and content is for no answer and no log.
		return refuse(400, "Parse error: Invalid JSON", { code: PARSE_ERROR });
	}
}

/** Undefined when it is longer than `maxBytes`. */
async function readText(request: Request, maxBytes: number): Promise<string | undefined> {
	if (Number(request.headers.get("content-length")) > maxBytes) return undefined;
	if (request.body === null) return "";
	const decoder = new TextDecoder("utf-8", { fatal: true });
	let bytes = 0;
	let text = "";
	for await (const chunk of request.body as AsyncIterable<Uint8Array>) {
		bytes += chunk.byteLength;
		if (bytes > maxBytes) return undefined;
		text += decoder.decode(chunk, { stream: true });
	}
	return text + decoder.decode();
}
