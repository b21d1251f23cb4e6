/** For functions on AWS Lambda. */

export { MAX_RESPONSE_BYTES } from "./answer.ts";
export type { HttpResult } from "./http-event.ts";
export { holdsStream } from "./refusal.ts";
export type { InvocationContext } from "./runtime.ts";
export {
	DEFAULT_FLUSH_TIMEOUT_MS,
	DEFAULT_MARGIN_MS,
	DEFAULT_MAX_STREAMS,
	type FetchApp,
	type LambdaFanout,
	type LambdaHandler,
	type LambdaInfo,
	type Served,
	type StreamifyOptions,
	streamify,
} from "./streamify.ts";
