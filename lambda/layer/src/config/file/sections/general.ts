/** `[notification]` itself: what concerns all transports. */
import { DEFAULT_FALLBACK } from "../../../route/options.ts";
import { DEFAULT_STREAM_LIMITS, STREAM_RANGES } from "../../../stream/port.ts";
import { DEFAULT_START_TIMEOUT_MS, DEFAULT_TIMEOUT_MS } from "../../options.ts";
import { choice, clusterId, duration, flag, integer } from "../field.ts";

const STRATEGIES = ["local", "nats", "redis", "aws", "composite"] as const;

export const reloadShape = {
	watch: flag("The file is looked at every second; a change is put in force. Default: true, in Lambda false."),
	on_sighup: flag(
		"A SIGHUP reads the file again. While it is true, the signal, and a terminal that closes, do not end the process.",
		false,
	),
};

export const generalShape = {
	strategy: choice(
		STRATEGIES,
		"One transport alone, or `composite`: all that are enabled, by rules and priority.",
		"composite",
	),
	fallback_strategy: choice(
		["local", "none"],
		"While a target refuses, client streams of this process get early copies (`local`), or wait (`none`) unless a rule names local beside the target.",
		DEFAULT_FALLBACK,
	),
	timeout_ms: integer("Deadline of one send, its wait in the queue included.", DEFAULT_TIMEOUT_MS, 1, 600_000),
	cluster_id: clusterId(
		"Namespace of every channel: fleets with different ones never hear each other. May stand under a transport instead.",
	),
	startup: choice(
		["fail", "degrade"],
		"`fail`: every transport must start. `degrade`: one is enough, the others are tried again.",
		"fail",
	),
	start_timeout_ms: integer("Deadline of a transport's start.", DEFAULT_START_TIMEOUT_MS, 1, 600_000),
	follow: flag(
		"False only publishes: no subscription, no socket. Default: in Lambda only while a stream is held, elsewhere true.",
	),
	max_stall: duration(
		"How long a client may take nothing before its stream ends with `slow-consumer`, at its next heartbeat.",
		DEFAULT_STREAM_LIMITS.maxStallMs,
		STREAM_RANGES.maxStallMs,
	),
	heartbeat: duration(
		"How often an idle client stream gets a sign of life.",
		DEFAULT_STREAM_LIMITS.heartbeatMs,
		STREAM_RANGES.heartbeatMs,
	),
};
