/**
 * What is counted and measured, named once for every adapter. Labels have few values: kinds of channels, reasons, codes,
 * names of transports; never an id, a tenant or anything of a message (P10). Events are the process's, whichever fanout
 * they are of; what is read is of the fanout that is given.
 */
import { listen } from "./events.ts";

export interface Metric {
	/** Dots between words. */
	readonly name: string;
	readonly unit: "1" | "s" | "By";
	readonly help: string;
	readonly labels: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;
export type Reading = readonly [labels: Labels, value: number];

/** What an adapter makes of metrics. */
export interface Instruments {
	counter(metric: Metric): (labels: Labels) => void;
	histogram(metric: Metric, bounds: readonly number[]): (labels: Labels, value: number) => void;
	/** Read when it is collected; a total only grows. */
	read(kind: "gauge" | "total", metric: Metric, readings: () => Iterable<Reading>): void;
}

interface Kept {
	readonly envelopes: number;
	readonly bytes: number;
	readonly dropped: number;
	readonly overflowed: number;
}

/** A fanout, as far as it is read here. */
export interface Observed {
	health(): {
		readonly ready: boolean;
		readonly streams: number;
		readonly sessions: number;
		readonly owned: number;
		readonly lanes: number;
		readonly targets: readonly {
			readonly lane: string;
			readonly connected: boolean;
			readonly breaker?: string;
			readonly outbox?: Kept;
		}[];
	};
}

const metric = (name: string, help: string, labels: readonly string[] = [], unit: Metric["unit"] = "1"): Metric => ({
	...{ name, help, labels, unit },
});

/** Seconds. */
const BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const METRICS = {
	publishes: metric(
		"publishes",
		"Publishes that settled. accepted: by a lane; queued: by none, and the outbox keeps it; failed: neither",
		["kind", "outcome"],
	),
	publishDuration: metric("publish.duration", "From a publish to its receipt", ["kind"], "s"),
	deliveries: metric(
		"deliveries",
		"Envelopes shown to client streams; to the MCP listens of a channel once for all of them",
		["kind", "replay"],
	),
	deliveryDelay: metric(
		"delivery.delay",
		"From a publish to a client stream that was open, by the wall clocks of both ends",
		["kind"],
		"s",
	),
	losses: metric("losses", "How often a client stream, or the MCP listens of a channel, were told of a loss", [
		"reason",
	]),
	ends: metric("streams.ended", "Client streams that were let go", ["reason"]),
	errors: metric("errors", "What failed and was handled", ["stage", "code"]),
	breakers: metric("breaker.changes", "Changes of a circuit breaker's state", ["lane", "state"]),
	transports: metric("transport.changes", "Changes of a transport's connection", ["transport", "state"]),
	reloads: metric("reloads", "Times that the configuration was read again", ["outcome"]),
	ready: metric("ready", "1 while this process takes client streams"),
	streams: metric("streams", "Client streams that hold a connection"),
	sessions: metric("sessions", "Sessions that client streams here are of"),
	owned: metric("sessions.owned", "Sessions that this process owns"),
	lanes: metric("lanes", "Lanes that are followed, or were lately"),
	connected: metric("connected", "1 while a lane's transport is connected", ["lane"]),
	breakerOpen: metric("breaker.open", "1 while nothing is sent to a lane, or one offer to see", ["lane"]),
	queued: metric("outbox.envelopes", "Envelopes that are kept for a lane that refused them", ["lane"]),
	queuedBytes: metric("outbox.size", "What these are together", ["lane"], "By"),
	dropped: metric("outbox.dropped", "Envelopes that were kept and are lost", ["lane"]),
	overflowed: metric("outbox.overflowed", "Envelopes that found no room", ["lane"]),
} as const satisfies Readonly<Record<string, Metric>>;

/** Returns what ends it: instruments stay with whoever made them. */
export function measure({ health }: Observed, to: Instruments): () => void {
	const publishes = to.counter(METRICS.publishes);
	const publishDuration = to.histogram(METRICS.publishDuration, BOUNDS);
	const deliveries = to.counter(METRICS.deliveries);
	const deliveryDelay = to.histogram(METRICS.deliveryDelay, BOUNDS);
	const losses = to.counter(METRICS.losses);
	const ends = to.counter(METRICS.ends);
	const errors = to.counter(METRICS.errors);
	const breakers = to.counter(METRICS.breakers);
	const transports = to.counter(METRICS.transports);
	const reloads = to.counter(METRICS.reloads);
	const one = (key: "streams" | "sessions" | "owned" | "lanes") => {
		to.read("gauge", METRICS[key], () => [[{}, health()[key]]]);
	};
	one("streams");
	one("sessions");
	one("owned");
	one("lanes");
	to.read("gauge", METRICS.ready, () => [[{}, health().ready ? 1 : 0]]);
	to.read("gauge", METRICS.connected, () =>
		health().targets.map(({ lane, connected }) => [{ lane }, connected ? 1 : 0]),
	);
	to.read("gauge", METRICS.breakerOpen, () =>
		health().targets.flatMap(({ lane, breaker }): Reading[] =>
			breaker === undefined ? [] : [[{ lane }, breaker === "closed" ? 0 : 1]],
		),
	);
	const kept = (kind: "gauge" | "total", of: Metric, read: (kept: Kept) => number) => {
		to.read(kind, of, () =>
			health().targets.flatMap(({ lane, outbox }): Reading[] => (outbox ? [[{ lane }, read(outbox)]] : [])),
		);
	};
	kept("gauge", METRICS.queued, ({ envelopes }) => envelopes);
	kept("gauge", METRICS.queuedBytes, ({ bytes }) => bytes);
	kept("total", METRICS.dropped, ({ dropped }) => dropped);
	kept("total", METRICS.overflowed, ({ overflowed }) => overflowed);
	const stops = [
		listen("publish", ({ kind, accepted, queued, durationMs }) => {
			publishes({ kind, outcome: accepted > 0 ? "accepted" : queued > 0 ? "queued" : "failed" });
			publishDuration({ kind }, durationMs / 1_000);
		}),
		listen("deliver", ({ kind, isReplay, delayMs }) => {
			deliveries({ kind, replay: String(isReplay) });
			// Clocks differ: what seems to have come before it was sent came at once.
			if (!isReplay) deliveryDelay({ kind }, Math.max(0, delayMs) / 1_000);
		}),
		listen("loss", ({ reason }) => losses({ reason })),
		listen("end", ({ reason }) => ends({ reason })),
		listen("error", ({ stage, error: { code } }) => errors({ stage, code })),
		listen("breaker", ({ lane, state }) => breakers({ lane, state })),
		listen("transport", ({ name: transport, state }) => transports({ transport, state })),
		listen("reload", ({ outcome }) => reloads({ outcome })),
	];
	return () => {
		for (const stop of stops) stop();
	};
}
