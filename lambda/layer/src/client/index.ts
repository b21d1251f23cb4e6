/**
 * For those who receive: a client of the ticket WebSocket API and one of SSE streams, for browsers and Node, and what
 * keeps an MCP client listening.
 */
export { connect } from "./connect.ts";
export type { Invalidation } from "./invalidations.ts";
export { type KeepListeningOptions, keepListening, type ListenEvent, type Listening } from "./keep-listening.ts";
export type { ListenFilter, McpClient, McpSubscription } from "./mcp-client.ts";
export type { ClientEvent, Connection, ConnectOptions, Delivery } from "./options.ts";
export {
	type ConnectSseOptions,
	connectSse,
	type SseClientEvent,
	type SseConnection,
	type SseDelivery,
} from "./sse.ts";
