/** `mcp-fanout/observe`: what a fanout does, for those who run it. */
export { type FanoutEvents, listen } from "./events.ts";
export { observeOpenTelemetry, traceparentOf } from "./opentelemetry.ts";
export { observePrometheus } from "./prometheus.ts";
