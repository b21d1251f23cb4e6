/**
 * What every handler is wrapped in, but those that stream their answers: structured logs, metrics, a trace segment.
 * Events and results are never logged; `report` takes ids, counts and codes only.
 */
import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import middy from "@middy/core";
import type { Context } from "aws-lambda";
import { traced } from "./tracer.ts";

export const logger = new Logger();
export const metrics = new Metrics();

export function report(what: string, detail: Readonly<Record<string, unknown>>): void {
	logger.warn(what, { detail });
}

export function count(name: string, value: number): void {
	if (value > 0) metrics.addMetric(name, MetricUnit.Count, value);
}

// Powertools' own middleware warns at every invocation that counted nothing, such as a ping.
function publish(): void {
	if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
}

// Not what POWERTOOLS_LOGGER_LOG_EVENT says: an event holds what is notified.
const logged = () => injectLambdaContext(logger, { logEvent: false });

export function handle<Event, Result>(serve: (event: Event, context: Context) => Promise<Result>) {
	return middy<Event, Result>()
		.use(logged())
		.use({ after: publish, onError: publish })
		.use(traced())
		.handler((event, context) => serve(event, context));
}
