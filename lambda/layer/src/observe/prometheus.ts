/**
 * Metrics for Prometheus, by prom-client, which is handed in: `observePrometheus(fanout, await import("prom-client"))`.
 * Names are `mcp_fanout_…` with their unit, counters end in `_total`.
 */
import type { Registry } from "prom-client";
import { type Instruments, type Metric, measure, type Observed } from "./metrics.ts";

type PromClient = Pick<typeof import("prom-client"), "Counter" | "Gauge" | "Histogram" | "register">;

const UNITS = { 1: "", s: "_seconds", By: "_bytes" } as const;

/** Returns what ends it and takes the metrics out of the registry, by default the client's own. */
export function observePrometheus(
	fanout: Observed,
	client: PromClient,
	registry: Registry = client.register,
): () => void {
	const names: string[] = [];
	const settings = ({ name, unit, help, labels }: Metric, end: string) => {
		const full = `mcp_fanout_${name.replaceAll(".", "_")}${UNITS[unit]}${end}`;
		// One that is there is somebody else's, and refused by the client.
		if (registry.getSingleMetric(full) === undefined) names.push(full);
		return { name: full, help, labelNames: [...labels], registers: [registry] };
	};
	const remove = () => {
		for (const name of names) registry.removeSingleMetric(name);
	};
	const instruments: Instruments = {
		counter(metric) {
			const counter = new client.Counter(settings(metric, "_total"));
			return (labels) => counter.inc(labels);
		},
		histogram(metric, bounds) {
			const histogram = new client.Histogram({ ...settings(metric, ""), buckets: [...bounds] });
			return (labels, value) => histogram.observe(labels, value);
		},
		read(kind, metric, readings) {
			if (kind === "gauge") {
				new client.Gauge({
					...settings(metric, ""),
					collect() {
						this.reset();
						for (const [labels, value] of readings()) this.set(labels, value);
					},
				});
			} else {
				new client.Counter({
					...settings(metric, "_total"),
					collect() {
						this.reset();
						for (const [labels, value] of readings()) this.inc(labels, value);
					},
				});
			}
		},
	};
	try {
		const stop = measure(fanout, instruments);
		return () => {
			stop();
			remove();
		};
	} catch (error) {
		remove();
		throw error;
	}
}
