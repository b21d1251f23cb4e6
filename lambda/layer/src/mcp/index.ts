export type { FanoutBus } from "./bus.ts";
export type { ServerEvent } from "./change.ts";
export { createEventStore, type SessionEventStore } from "./event-store.ts";
export {
	createFleetHandler,
	DEFAULT_CATCH_UP_MS,
	type FetchExtra,
	type FetchHandler,
	type FleetHandler,
	type FleetHandlerOptions,
} from "./fleet-handler.ts";
export { type Asking, type AuthInfoLike, DEFAULT_IDENTITY_TIMEOUT_MS } from "./identity.ts";
export { type NodeHandler, type NodeHandlerOptions, toNodeHandler } from "./node-handler.ts";
export { DEFAULT_BODY_TIMEOUT_MS, DEFAULT_MAX_BODY_BYTES } from "./session/body.ts";
export type {
	ServerLike,
	SessionAuth,
	SessionContext,
	SessionFactory,
	SessionInfo,
	SessionState,
} from "./session/factory.ts";
export type { SessionOptions } from "./session/options.ts";
export type { SessionTransport } from "./session/transport.ts";
export { createSessionHandler, type SessionHandler, type SessionHandlerOptions } from "./session-handler.ts";
