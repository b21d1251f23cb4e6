/** Tier 3: the transport of a fleet in one or several AWS regions. */
export { examineAws } from "./examine.ts";
export { issueCellTicket, type TicketScope } from "./issuer.ts";
export { type AwsOptions, DEFAULT_MAX_PAYLOAD_BYTES } from "./options.ts";
export { type AwsParts, createAwsTransport } from "./transport.ts";
