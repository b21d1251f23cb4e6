/** Tier 1: the transport of one process, in memory or in a SQLite file. */
export { examineLocal } from "./examine.ts";
export {
	DEFAULT_MAX_BYTES,
	DEFAULT_MAX_EVENTS,
	DEFAULT_MAX_EVENTS_PER_CHANNEL,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_RETENTION_MS,
	type LocalOptions,
} from "./options.ts";
export { createLocalTransport, type LocalParts } from "./transport.ts";
