/** Which requests hold a stream, and how one is refused before anything was done for it. */
import { sentOn } from "../core/sent-on.ts";

/** An MCP listen, or server-sent events for any client but an MCP one of the session era, to which nobody answers here. */
export function holdsStream({ method, headers }: Request): boolean {
	if (headers.get("mcp-method") === "subscriptions/listen") return true;
	const accepts = (headers.get("accept") ?? "").includes("text/event-stream");
	return method === "GET" && accepts && !headers.has("mcp-protocol-version");
}

const RETRY_AFTER_SECONDS = "5";

function refuse(status: number, message: string, headers: Readonly<Record<string, string>> = {}): Response {
	return Response.json({ jsonrpc: "2.0", error: { code: -32_000, message }, id: null }, { status, headers });
}

/** There may be room later. */
export const refuseNow = (request: Request, message: string): Response =>
	sentOn(request, refuse(503, message, { "retry-after": RETRY_AFTER_SECONDS }));

/** There never is: who asks by GET is told in the way that MCP clients know. */
export function refuseAlways({ method }: Request): Response {
	const message = "this endpoint holds no streams";
	return method === "GET" ? refuse(405, message, { allow: "POST" }) : refuse(501, message);
}

/** An answer of one value that had not ended in the function's time. */
export const refuseLate = (): Response => refuse(504, "the answer did not end within the function's time");
