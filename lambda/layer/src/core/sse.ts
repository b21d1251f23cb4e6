/** What all streams of server-sent events have in common, whoever makes them. */

/** `no-transform` keeps compressing middleware and proxies from holding frames back. */
export const SSE_HEADERS = {
	"Content-Type": "text/event-stream",
	"Cache-Control": "no-cache, no-transform",
	"X-Accel-Buffering": "no",
} as const;

/**
 * What a proxy sends that hands a request which is refused on to the next instance: `status`. Its clients see no refusal,
 * so it gets one.
 */
export const REFUSE_HEADER = "mcp-fanout-refuse";
export const asksForStatus = (value: unknown): boolean => value === "status";

export const SSE_HEARTBEAT = ": hb\n\n";

/** How long a client waits before it comes back. */
export const sseRetry = (ms: number): string => `retry: ${Math.max(0, Math.floor(ms))}\n\n`;

/** Moves the client's cursor and says nothing: a frame without data moves none, and with data alone is a message. */
export const sseCursor = (id: string): string => `event: cursor\nid: ${id}\ndata: \n\n`;
