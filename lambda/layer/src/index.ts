export type { Affinity, AffinityOptions } from "./affinity.ts";
export type { FanoutOptions, ReloadOptions } from "./config/options.ts";
export { type Channel, type ChannelKind, createChannel, type Scope } from "./core/channel.ts";
export type { Reason } from "./core/client-feed.ts";
export { FanoutError, type FanoutErrorCode, isFanoutError } from "./core/errors.ts";
export { deriveId } from "./core/ids.ts";
export type { Message, Notification, NotificationInput } from "./core/message.ts";
export type { Capabilities, Durability, Entry, Outcome, Page, Reach, Transport } from "./core/transport.ts";
export { createFanout, type Fanout, type Health, type PublishOptions, type TicketRequest } from "./fanout.ts";
export type { Hold } from "./following.ts";
export type { FanoutBus } from "./mcp/bus.ts";
export type { ServerEvent } from "./mcp/change.ts";
export type { TargetHealth } from "./outgoing.ts";
export type { Address, Notify, Target } from "./publish/address.ts";
export type { LaneFailure, LaneReceipt, Receipt } from "./publish/receipt.ts";
export type { Reloaded } from "./reload.ts";
export type {
	BreakerOptions,
	Condition,
	FallbackStrategy,
	OutboxOptions,
	RoutingOptions,
	RoutingRule,
	TransportRole,
} from "./route/options.ts";
export type { ClientStream, StreamChange } from "./stream/port.ts";
export type { StreamRequest } from "./stream/request.ts";
