/** Tier 2: NATS, with JetStream's log or without one. */

export { dialNats } from "./dial.ts";
export { examineNats } from "./examine.ts";
export {
	DEFAULT_MAX_AGE_MS,
	DEFAULT_MAX_MESSAGES,
	DEFAULT_MAX_MESSAGES_PER_CHANNEL,
	DEFAULT_PARTITIONS,
	type NatsOptions,
} from "./options.ts";
export { createNatsTransport, type NatsParts } from "./transport.ts";
