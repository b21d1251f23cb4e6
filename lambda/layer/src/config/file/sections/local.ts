/** `[notification.local]`: the hub of this process, and the ring that its client streams resume from. */
import { DEFAULT_PRIORITY } from "../../../route/options.ts";
import {
	DEFAULT_MAX_BYTES,
	DEFAULT_MAX_EVENTS,
	DEFAULT_MAX_EVENTS_PER_CHANNEL,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_RETENTION_MS,
	type LocalOptions,
} from "../../../transports/local/options.ts";
import { duration, flag, integer, text } from "../field.ts";
import { role, type Values } from "../section.ts";

export const localShape = {
	enabled: flag(role.enabled, true),
	priority: integer(role.priority, DEFAULT_PRIORITY.local, 0, 1_000),
	max_sessions_per_instance: integer(
		"Client streams of this process at once, whatever transport feeds them; one more is refused.",
		10_000,
		1,
		1_000_000,
	),
	max_events_per_channel: integer("Newest events kept of one channel.", DEFAULT_MAX_EVENTS_PER_CHANNEL),
	max_age: duration("How long an event is kept.", DEFAULT_RETENTION_MS),
	max_events: integer("Events kept of all channels together.", DEFAULT_MAX_EVENTS),
	max_bytes: integer("Encoded bytes kept of all channels together.", DEFAULT_MAX_BYTES),
	max_payload_bytes: integer("Largest encoded envelope.", DEFAULT_MAX_PAYLOAD_BYTES),
	file: text("A SQLite file that keeps the events across a restart; of one process.", "a path", /^[^\0]+$/),
};

export function localOptions(values: Values<typeof localShape>): LocalOptions {
	return {
		maxEventsPerChannel: values.max_events_per_channel,
		retentionMs: values.max_age,
		maxEvents: values.max_events,
		maxBytes: values.max_bytes,
		maxPayloadBytes: values.max_payload_bytes,
		file: values.file,
	};
}
