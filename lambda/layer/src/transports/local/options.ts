/** What the local transport may be told, with the defaults that it really uses. Every bound names its limit when it refuses. */
import { FanoutError } from "../../core/errors.ts";
import { checkNames } from "../../core/ranges.ts";

export const DEFAULT_MAX_EVENTS_PER_CHANNEL = 100;
export const DEFAULT_RETENTION_MS = 24 * 60 * 60 * 1000;
export const DEFAULT_MAX_EVENTS = 100_000;
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
export const DEFAULT_MAX_PAYLOAD_BYTES = 120 * 1024;
/** Most envelopes that one publish call may carry. */
export const MAX_BATCH = 1000;

export interface LocalOptions {
	/** Most events that one channel keeps. */
	readonly maxEventsPerChannel?: number | undefined;
	/** How long an event is kept, in milliseconds. */
	readonly retentionMs?: number | undefined;
	/** Most events of all channels together; a channel itself counts as one. */
	readonly maxEvents?: number | undefined;
	/** Most encoded bytes of all channels together. */
	readonly maxBytes?: number | undefined;
	/** Largest encoded envelope, in bytes. */
	readonly maxPayloadBytes?: number | undefined;
	/** A SQLite file: one instance resumes its client streams across a restart. Written with fsync, by one process. */
	readonly file?: string | undefined;
}

export interface LocalLimits {
	readonly maxEventsPerChannel: number;
	readonly retentionMs: number;
	readonly maxEvents: number;
	readonly maxBytes: number;
	readonly maxPayloadBytes: number;
}

function positive(name: keyof LocalLimits, value: number): number {
	if (Number.isSafeInteger(value) && value > 0) return value;
	throw new FanoutError("ConfigInvalid", `local.${name} must be a positive integer, not ${String(value)}`);
}

const KNOWN: Readonly<Record<keyof LocalOptions, true>> = {
	...{
		maxEventsPerChannel: true,
		retentionMs: true,
		maxEvents: true,
		maxBytes: true,
		maxPayloadBytes: true,
		file: true,
	},
};

export function resolveLimits(options: LocalOptions): LocalLimits {
	checkNames("local", options, KNOWN);
	const limits: LocalLimits = {
		maxEventsPerChannel: positive("maxEventsPerChannel", options.maxEventsPerChannel ?? DEFAULT_MAX_EVENTS_PER_CHANNEL),
		retentionMs: positive("retentionMs", options.retentionMs ?? DEFAULT_RETENTION_MS),
		maxEvents: positive("maxEvents", options.maxEvents ?? DEFAULT_MAX_EVENTS),
		maxBytes: positive("maxBytes", options.maxBytes ?? DEFAULT_MAX_BYTES),
		maxPayloadBytes: positive("maxPayloadBytes", options.maxPayloadBytes ?? DEFAULT_MAX_PAYLOAD_BYTES),
	};
	if (limits.maxPayloadBytes > limits.maxBytes) {
		throw new FanoutError("ConfigInvalid", `local.maxBytes (${limits.maxBytes}) is less than one payload`, {
			data: { ...limits },
		});
	}
	return limits;
}
