/**
 * What every handler is wrapped in: structured logs, metrics, a trace segment. Events and results are never logged;
 * `report` takes ids, counts and codes only.
 */
import { Logger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import { Metrics, MetricUnit } from "@aws-lambda-powertools/metrics";
import { logMetrics } from "@aws-lambda-powertools/metrics/middleware";
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

export function handle<Event, Result>(serve: (event: Event, context: Context) => Promise<Result>) {
	return middy<Event, Result>()
		.use(injectLambdaContext(logger))
		.use(logMetrics(metrics))
		.use(traced())
		.handler((event, context) => serve(event, context));
}
