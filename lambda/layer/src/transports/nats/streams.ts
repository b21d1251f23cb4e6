/**
 * The partition streams: created when they are absent, by whoever comes first, and compared when they are there. The
 * number of partitions stands in each stream's metadata; the first stream is made before the others, so of two
 * instances with different numbers one is refused, whichever starts first.
 */
import { FanoutError } from "../../core/errors.ts";
import type { Api, StreamConfig, StreamInfo } from "./api.ts";
import { ERR, isRefusal } from "./failure.ts";
import type { LogSettings } from "./options.ts";
import type { Subjects } from "./subjects.ts";

const PARTITIONS = "mcp-fanout-partitions";
const LAYOUT = "mcp-fanout-layout";
const LAYOUT_VERSION = "1";
const nanos = (ms: number) => ms * 1_000_000;

export function configOf(subjects: Subjects, log: LogSettings, partition: number): StreamConfig {
	return {
		name: subjects.stream(partition),
		subjects: [subjects.capture(partition)],
		retention: "limits",
		discard: "old",
		storage: log.storage,
		num_replicas: log.replicas,
		max_age: nanos(log.maxAgeMs),
		max_msgs: log.maxMessages,
		max_msgs_per_subject: log.maxMessagesPerChannel,
		max_bytes: -1,
		max_msg_size: -1,
		duplicate_window: nanos(log.dedupMs),
		allow_direct: true,
		allow_atomic: true,
		republish: subjects.republish,
		metadata: { [PARTITIONS]: String(log.partitions), [LAYOUT]: LAYOUT_VERSION },
	};
}

function shown(value: unknown): string {
	return value === undefined ? "nothing" : JSON.stringify(value);
}

/** One line for each setting that an existing stream has otherwise. */
export function differences(wanted: StreamConfig, found: StreamConfig): string[] {
	const lines: string[] = [];
	const compare = (name: string, want: unknown, have: unknown) => {
		if (JSON.stringify(want) !== JSON.stringify(have)) lines.push(`${name} is ${shown(have)}, not ${shown(want)}`);
	};
	for (const [name, want] of Object.entries(wanted)) {
		const have = found[name];
		// Servers add metadata and fields of their own.
		if (name !== "metadata" && name !== "republish") compare(name, want, have);
		else {
			for (const [key, value] of Object.entries(want as Record<string, unknown>)) {
				compare(`${name}.${key}`, value, (have as Record<string, unknown> | undefined)?.[key]);
			}
		}
	}
	return lines;
}

function check(wanted: StreamConfig, found: StreamInfo): void {
	const lines = differences(wanted, found.config);
	if (lines.length === 0) return;
	throw new FanoutError(
		"ConfigInvalid",
		`the JetStream stream ${wanted.name} exists with other settings than this instance has: ${lines.join("; ")}. ` +
			"All instances of a fleet share them: change these options, or the stream, or name another nats.prefix",
		{ data: { stream: wanted.name, differences: lines } },
	);
}

async function ensure(api: Api, wanted: StreamConfig): Promise<void> {
	const found = await api.info(wanted.name);
	if (found !== undefined) return check(wanted, found);
	try {
		await api.create(wanted);
	} catch (error) {
		if (!isRefusal(error, ERR.nameInUse)) throw error;
		// Another instance was faster, with other settings.
		const other = await api.info(wanted.name);
		if (other === undefined) throw error;
		check(wanted, other);
	}
}

export async function ensureStreams(api: Api, subjects: Subjects, log: LogSettings): Promise<void> {
	await ensure(api, configOf(subjects, log, 0));
	const rest = Array.from({ length: log.partitions - 1 }, (_, index) => index + 1);
	await Promise.all(rest.map((partition) => ensure(api, configOf(subjects, log, partition))));
}

export function ensureStream(api: Api, subjects: Subjects, log: LogSettings, partition: number): Promise<void> {
	return ensure(api, configOf(subjects, log, partition));
}
