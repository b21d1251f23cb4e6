/** For functions on AWS Lambda. */

export type { HttpResult } from "./http-event.ts";
export {
	DEFAULT_FLUSH_TIMEOUT_MS,
	DEFAULT_MARGIN_MS,
	type FetchApp,
	type InvocationContext,
	type LambdaHandler,
	MAX_RESPONSE_BYTES,
	type StreamifyOptions,
	streamify,
} from "./streamify.ts";
