/** What a request's headers say of an MCP client of the session era. */

/** By name: as the SDK's transports do, no wildcard is taken for it. */
export function accepts(headers: Headers, type: string): boolean {
	const named = (headers.get("accept") ?? "").split(",").map((part) => part.split(";")[0]?.trim().toLowerCase());
	return named.includes(type);
}

/** Whether it is a session's GET, which is answered with a stream. */
export function holdsGet({ method, headers }: Request): boolean {
	return method === "GET" && headers.has("mcp-session-id") && accepts(headers, "text/event-stream");
}

/** Negotiated versions from this one on get cursor frames, and streams that poll. */
export const hasPriming = (protocol: string): boolean => protocol >= "2025-11-25";
