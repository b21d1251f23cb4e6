import * as otel from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
	AggregationTemporality,
	InMemoryMetricExporter,
	MeterProvider,
	PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { listen, observeOpenTelemetry, traceparentOf } from "../../../lambda/layer/src/observe/index.ts";
import { openFanout, SECRET, until } from "./support.ts";

const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const spans = new InMemorySpanExporter();
const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 });
const meters = new MeterProvider({ readers: [reader] });
const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
const tracer = tracers.getTracer("the application");

beforeAll(() => {
	otel.context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
	otel.metrics.setGlobalMeterProvider(meters);
	otel.trace.setGlobalTracerProvider(tracers);
});
afterAll(async () => {
	await meters.shutdown();
	await tracers.shutdown();
	otel.context.disable();
	otel.metrics.disable();
	otel.trace.disable();
});

const undo: (() => unknown)[] = [];
afterEach(async () => {
	for (const each of undo.splice(0).reverse()) await each();
	spans.reset();
	metrics.reset();
});

const MESSAGE = { method: "notifications/message", params: { level: "info", data: SECRET } };

async function collected(): Promise<Map<string, unknown>> {
	await reader.forceFlush();
	const all =
		metrics
			.getMetrics()
			.at(-1)
			?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
	return new Map(
		all.flatMap(({ descriptor, dataPoints }) =>
			dataPoints.map(({ attributes, value }) => [
				`${descriptor.name} ${Object.values(attributes).join(" ")}`.trim(),
				typeof value === "object" ? value.count : value,
			]),
		),
	);
}

test("what happens is counted and measured, and what stands is read, until it is ended", async () => {
	const { fanout, read } = await openFanout(undo);
	const stop = observeOpenTelemetry(fanout, otel);
	await fanout.to({ session: "s1" }).send(MESSAGE);
	await until(() => read.text.includes(SECRET));
	const found = await collected();
	expect(Object.fromEntries(found)).toMatchObject({
		"mcp_fanout.publishes session accepted": 1,
		"mcp_fanout.publish.duration session": 1,
		"mcp_fanout.deliveries session false": 1,
		"mcp_fanout.delivery.delay session": 1,
		"mcp_fanout.streams": 1,
		"mcp_fanout.ready": 1,
		"mcp_fanout.breaker.open local": 0,
		"mcp_fanout.outbox.dropped local": 0,
	});
	expect(JSON.stringify(metrics.getMetrics())).not.toContain(SECRET);
	stop();
	await fanout.to({ session: "s1" }).send(MESSAGE);
	expect((await collected()).get("mcp_fanout.publishes session accepted")).toBe(1);
});

test("a publish and what it brings are spans of the caller's trace, one in a process however many streams there are", async () => {
	const { fanout, read, openStream } = await openFanout(undo, { traceparent: traceparentOf(otel) });
	const other = await openStream();
	undo.push(observeOpenTelemetry(fanout, otel));
	const caller = await tracer.startActiveSpan("tool call", async (span) => {
		const receipt = await fanout.to({ session: "s1" }).send(MESSAGE);
		span.setAttribute("id", receipt.id).end();
		return span;
	});
	await until(() => [read, other].every(({ text }) => text.includes(SECRET)));
	const found = spans.getFinishedSpans();
	expect(found.map(({ name }) => name).sort()).toEqual(["deliver session", "send session", "tool call"]);
	for (const span of found.filter(({ name }) => name !== "tool call")) {
		expect(span.spanContext().traceId).toBe(caller.spanContext().traceId);
		expect(span.parentSpanContext?.spanId).toBe(caller.spanContext().spanId);
		expect(span.endTime >= span.startTime).toBe(true);
	}
	expect(JSON.stringify(found.map(({ attributes }) => attributes))).not.toContain(SECRET);
});

test("what many streams are shown again after a drop is one span for each envelope, not one for each stream", async () => {
	const { fanout, read, openStream } = await openFanout(undo, { traceparent: traceparentOf(otel) });
	undo.push(observeOpenTelemetry(fanout, otel));
	await fanout.to({ session: "s1" }).send(MESSAGE);
	await until(() => read.text.includes(SECRET));
	const cursor = /^id: ?(.+)$/gm;
	const [, last = ""] = [...read.text.matchAll(cursor)].at(-1) ?? [];
	await tracer.startActiveSpan("tool call", async (span) => {
		for (let count = 0; count < 3; count += 1) await fanout.to({ session: "s1" }).send(MESSAGE);
		span.end();
	});
	await until(() => read.text.split(SECRET).length > 4);
	const again = await Promise.all(Array.from({ length: 5 }, () => openStream({ "last-event-id": last })));
	await until(() => again.every(({ text }) => text.split(SECRET).length > 3));
	const delivered = spans.getFinishedSpans().filter(({ name }) => name === "deliver session");
	expect(delivered.map(({ attributes }) => attributes["mcp_fanout.replay"])).toEqual(Array(3).fill("false"));
});

test("a publish that nothing takes is a span with an error, and a context that fails keeps nothing from its way", async () => {
	const traces = [() => "no context", () => "", () => JSON.parse("{")];
	const carried: unknown[] = [];
	undo.push(listen("deliver", (event) => void carried.push(event.trace)));
	for (const traceparent of traces) {
		const { fanout, read } = await openFanout(undo, { traceparent });
		await fanout.to({ session: "s1" }).send(MESSAGE);
		await until(() => read.text.includes(SECRET));
	}
	expect(carried).toEqual([undefined, undefined, undefined]);

	const { fanout } = await openFanout(undo, {
		local: { maxPayloadBytes: 1_000 },
		breaker: undefined,
		outbox: undefined,
	});
	undo.push(observeOpenTelemetry(fanout, otel));
	const tooLarge = { method: "notifications/message", params: { level: "info", data: "x".repeat(2_000) } };
	await expect(fanout.to({ session: "s1" }).send(tooLarge)).rejects.toThrow();
	const [span] = spans.getFinishedSpans();
	expect(span).toMatchObject({ name: "send session", status: { code: otel.SpanStatusCode.ERROR } });
});

test("a listener that throws, as a tracer's sampler may, keeps nothing from its way, and is warned of once", async () => {
	const failing = new BasicTracerProvider({
		sampler: {
			shouldSample() {
				throw new Error("the sampler broke");
			},
		},
	});
	const warnings: Error[] = [];
	const hear = (warning: Error) => void warnings.push(warning);
	process.on("warning", hear);
	undo.push(() => process.off("warning", hear));
	const { fanout, read } = await openFanout(undo);
	const trace = { ...otel.trace, getTracer: failing.getTracer.bind(failing) } as typeof otel.trace;
	undo.push(observeOpenTelemetry(fanout, { ...otel, trace }));
	const counted: unknown[] = [];
	undo.push(listen("publish", (event) => void counted.push(event)));
	for (let n = 0; n < 3; n += 1) await fanout.to({ session: "s1" }).send(MESSAGE);
	await until(() => read.text.split(SECRET).length === 4 && warnings.length > 0);
	expect(counted).toHaveLength(3);
	expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining("the sampler broke")]);
});
