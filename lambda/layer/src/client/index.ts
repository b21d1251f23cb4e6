/** For those who receive: a client of the ticket WebSocket API and one of SSE streams, for browsers and Node. */
export { connect } from "./connect.ts";
export type { ClientEvent, Connection, ConnectOptions, Delivery } from "./options.ts";
export {
	type ConnectSseOptions,
	connectSse,
	type SseClientEvent,
	type SseConnection,
	type SseDelivery,
} from "./sse.ts";
