/**
 * Metrics and traces for OpenTelemetry, by its API, which is handed in, and by whatever SDK the process has set up:
 *
 *   const fanout = await createFanout({ traceparent: traceparentOf(otel) });
 *   const stop = observeOpenTelemetry(fanout, otel);           // import * as otel from "@opentelemetry/api"
 *
 * A publish is a span of the caller's trace. The caller's context goes along in the envelope, and in each process that
 * shows the envelope a client stream is a span of the same trace, one however many streams there are.
 */
import type { Context } from "@opentelemetry/api";
import type { FanoutEvents } from "./events.ts";
import { listen } from "./events.ts";
import { type Metric, measure, type Observed } from "./metrics.ts";

type OpenTelemetry = Pick<
	typeof import("@opentelemetry/api"),
	"context" | "metrics" | "ROOT_CONTEXT" | "SpanKind" | "SpanStatusCode" | "trace"
>;

const NAME = "mcp-fanout";
/** Envelopes whose span is remembered: so many, to twice as many. */
const MAX_TOLD = 1_000;

/** For the `traceparent` option: the span that is active where something is published. */
export function traceparentOf({ trace }: Pick<OpenTelemetry, "trace">): () => string | undefined {
	return () => {
		const active = trace.getActiveSpan()?.spanContext();
		if (active === undefined) return undefined;
		return `00-${active.traceId}-${active.spanId}-${(active.traceFlags & 0xff).toString(16).padStart(2, "0")}`;
	};
}

/** Returns what ends it. */
export function observeOpenTelemetry(fanout: Observed, api: OpenTelemetry): () => void {
	const stops = [observeMetrics(fanout, api), ...observeTraces(api)];
	return () => {
		for (const stop of stops) stop();
	};
}

function observeMetrics(fanout: Observed, { metrics }: OpenTelemetry): () => void {
	const meter = metrics.getMeter(NAME);
	const settings = ({ unit, help: description }: Metric) => ({ unit, description });
	const full = ({ name }: Metric) => `mcp_fanout.${name}`;
	const stops: (() => void)[] = [];
	const stop = measure(fanout, {
		counter(metric) {
			const counter = meter.createCounter(full(metric), settings(metric));
			return (labels) => counter.add(1, labels);
		},
		histogram(metric, bounds) {
			const advice = { explicitBucketBoundaries: [...bounds] };
			const histogram = meter.createHistogram(full(metric), { ...settings(metric), advice });
			return (labels, value) => histogram.record(value, labels);
		},
		read(kind, metric, readings) {
			const made =
				kind === "gauge"
					? meter.createObservableGauge(full(metric), settings(metric))
					: meter.createObservableCounter(full(metric), settings(metric));
			const observe: Parameters<typeof made.addCallback>[0] = (result) => {
				for (const [labels, value] of readings()) result.observe(value, labels);
			};
			made.addCallback(observe);
			stops.push(() => made.removeCallback(observe));
		},
	});
	return () => {
		stop();
		for (const each of stops) each();
	};
}

function observeTraces({ context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace }: OpenTelemetry): (() => void)[] {
	const tracer = trace.getTracer(NAME);

	/** A span that is over: it is told of when it is. */
	function past(name: string, kind: number, tookMs: number, attributes: Record<string, string | number>, of: Context) {
		const endTime = Date.now();
		const startTime = endTime - Math.max(0, tookMs);
		const common = { "messaging.system": NAME, ...attributes };
		return { span: tracer.startSpan(name, { kind, startTime, attributes: common }, of), endTime };
	}

	function published({ id, kind, accepted, queued, failed, durationMs }: FanoutEvents["publish"]): void {
		const counts = { "mcp_fanout.accepted": accepted, "mcp_fanout.queued": queued, "mcp_fanout.failed": failed };
		const said = { "messaging.operation.type": "send", "messaging.message.id": id, "mcp_fanout.channel.kind": kind };
		const { span, endTime } = past(
			`send ${kind}`,
			SpanKind.PRODUCER,
			durationMs,
			{ ...said, ...counts },
			context.active(),
		);
		if (accepted + queued === 0) span.setStatus({ code: SpanStatusCode.ERROR });
		span.end(endTime);
	}

	// Of streams that are shown a whole past each, an envelope comes once in each of them.
	let told = new Set<string>();
	let toldBefore = told;
	function delivered({ id, kind, isReplay, delayMs, trace: carried }: FanoutEvents["deliver"]): void {
		if (carried === undefined || told.has(id) || toldBefore.has(id)) return;
		if (told.size === MAX_TOLD) {
			toldBefore = told;
			told = new Set();
		}
		told.add(id);
		const [, traceId = "", spanId = "", flags = ""] = carried.split("-");
		const remote = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
		const said = { "messaging.operation.type": "process", "messaging.message.id": id, "mcp_fanout.channel.kind": kind };
		const attributes = { ...said, "mcp_fanout.replay": String(isReplay) };
		const of = trace.setSpanContext(ROOT_CONTEXT, remote);
		const { span, endTime } = past(`deliver ${kind}`, SpanKind.CONSUMER, isReplay ? 0 : delayMs, attributes, of);
		span.end(endTime);
	}

	return [listen("publish", published), listen("deliver", delivered)];
}
