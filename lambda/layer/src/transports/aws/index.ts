/** Tier 3: the transport of a fleet in one or several AWS regions. */
export { type AwsOptions, DEFAULT_MAX_PAYLOAD_BYTES } from "./options.ts";
export { type AwsParts, createAwsTransport } from "./transport.ts";
