/** Whether the partition streams are there, are what this configuration says, and have leaders. Asks, and makes none. */
import type { Clock } from "../../core/clock.ts";
import { messageOf, some, type Tell } from "../../core/finding.ts";
import { createApi, type StreamConfig, type StreamInfo } from "./api.ts";
import { loadNatsClient, type NatsConnection } from "./client.ts";
import { createInbox } from "./inbox.ts";
import type { NatsSettings } from "./options.ts";
import { configOf, differences } from "./streams.ts";
import { createSubjects } from "./subjects.ts";

interface Looked {
	readonly wanted: StreamConfig;
	readonly info?: StreamInfo | undefined;
	readonly error?: unknown;
}

async function lookAt(nc: NatsConnection, settings: NatsSettings, clock: Clock): Promise<Looked[]> {
	const { prefix, partitions, streamName, inboxPrefix, domain, requestTimeoutMs: timeoutMs } = settings;
	const subjects = createSubjects(prefix, partitions, streamName);
	const inbox = createInbox(nc, loadNatsClient().createInbox(inboxPrefix), clock);
	const api = createApi(inbox, domain, { timeoutMs, createTimeoutMs: timeoutMs });
	try {
		return await Promise.all(
			Array.from({ length: partitions }, async (_, partition): Promise<Looked> => {
				const wanted = configOf(subjects, settings, partition);
				// The leader's answer, or none.
				return api.info(wanted.name).then(
					(info) => ({ wanted, info }),
					(error: unknown) => ({ wanted, error }),
				);
			}),
		);
	} finally {
		inbox.close();
	}
}

const namesOf = (looked: readonly Looked[]) => some(looked.map(({ wanted }) => wanted.name));

/** Those that differ in the same way are one finding. */
function tellDifferences(there: readonly Looked[], tell: Tell): void {
	const alike = Map.groupBy(there, ({ wanted, info }) => differences(wanted, (info as StreamInfo).config).join("; "));
	alike.delete("");
	for (const [lines, looked] of [...alike].slice(0, 3)) {
		const todo =
			"all instances of a fleet share them: change these settings, or the streams, or name another subject_prefix";
		tell("fail", `${looked.length} streams have other settings (${namesOf(looked)}): ${lines}`, todo);
	}
}

function tellStanding(there: readonly Looked[], { storage, replicas }: NatsSettings, tell: Tell): void {
	const behind = there.flatMap(({ wanted, info }) => {
		const late = (info?.cluster?.replicas ?? []).filter(({ current, offline }) => !current || offline === true);
		return late.map(({ name }) => `${wanted.name} at ${name}`);
	});
	if (behind.length > 0) {
		const todo = "look at that server; a stream without a majority takes nothing";
		tell("warn", `replicas are behind or away: ${some(behind)}`, todo);
	}
	const leaders = [...new Set(there.flatMap(({ info }) => info?.cluster?.leader ?? []))].sort();
	const led = leaders.length === 0 ? "" : `, led by ${some(leaders)}`;
	const kept = `${there.length} streams, ${storage} storage, replicas: ${replicas}${led}`;
	if (storage === "memory" && replicas === 1) {
		tell("warn", `${kept}: a restart of the server loses the log`, 'set storage = "file", or replicas = 3');
	} else tell("ok", kept);
}

export async function examineStreams(
	nc: NatsConnection,
	settings: NatsSettings,
	clock: Clock,
	tell: Tell,
): Promise<void> {
	const looked = await lookAt(nc, settings, clock);
	const silent = looked.filter(({ error }) => error !== undefined);
	const there = looked.filter(({ info }) => info !== undefined);
	const absent = looked.filter(({ info, error }) => info === undefined && error === undefined);
	if (silent.length > 0) {
		const off = nc.info?.jetstream === true ? "" : "; that server runs without JetStream";
		const todo = silent.length === looked.length ? "turn JetStream on, or name its domain" : "look for their servers";
		tell("fail", `no answer of ${namesOf(silent)}: ${messageOf(silent[0]?.error)}${off}`, todo);
	}
	if (absent.length > 0) {
		const todo = "no server of this fleet has started here yet; the first one makes them";
		tell("warn", `${absent.length} of ${looked.length} streams are not there: ${namesOf(absent)}`, todo);
	}
	tellDifferences(there, tell);
	if (there.length > 0) tellStanding(there, settings, tell);
}
