export type { FanoutBus } from "./bus.ts";
export type { ServerEvent } from "./change.ts";
export {
	createFleetHandler,
	DEFAULT_CATCH_UP_MS,
	type FetchExtra,
	type FetchHandler,
	type FleetHandler,
	type FleetHandlerOptions,
} from "./fleet-handler.ts";
export type { Asking, AuthInfoLike } from "./identity.ts";
