/**
 * For the authors of transports of their own: the port, and what every transport needs to keep its promises, envelopes
 * on a wire, channels, positions, errors. docs/adding-a-transport.md says how, `mcp-fanout/testing/transport` judges it.
 */
export {
	type Channel,
	type ChannelKind,
	createChannel,
	MAX_CHANNEL_KEY_BYTES,
	parseChannel,
	type Scope,
} from "./core/channel.ts";
export { decodeEnvelope, type Envelope, encodeEnvelope, envelopeBytes } from "./core/envelope.ts";
export {
	asFanoutError,
	FanoutError,
	type FanoutErrorCode,
	type FanoutErrorOptions,
	isFanoutError,
} from "./core/errors.ts";
export type { Message, Notification, Request, Response } from "./core/message.ts";
export { BEGINNING, epochOf, MAX_OFFSET, NO_EPOCH, type Position } from "./core/position.ts";
export type {
	Ask,
	Capabilities,
	Durability,
	Entry,
	Outcome,
	Page,
	Reach,
	Subscriber,
	Subscription,
	Transport,
	TransportEvent,
	TransportHost,
	Verdict,
} from "./core/transport.ts";
