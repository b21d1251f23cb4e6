/**
 * Everything that belongs to one connection with JetStream: the inbox, the partitions with their ledgers, who follows
 * what, and the repairs. After a reconnect, a new epoch or a doubt the ends of what is followed are asked for, a
 * partition at a time, and asked again until they came or the connection is lost: the engine's own checks go on beside.
 */
import { fullJitter } from "../../core/backoff.ts";
import type { Channel } from "../../core/channel.ts";
import { type Clock, pause } from "../../core/clock.ts";
import { asFanoutError, FanoutError, isFanoutError } from "../../core/errors.ts";
import { epochOf, type Position } from "../../core/position.ts";
import type { Ask, Page, Subscriber, Subscription, TransportEvent } from "../../core/transport.ts";
import { createApi } from "./api.ts";
import { createBatchGet } from "./batch-get.ts";
import { catchUp } from "./catch-up.ts";
import { loadNatsClient, type NatsConnection } from "./client.ts";
import { createFollow, type Shard } from "./follow.ts";
import { Gate } from "./gate.ts";
import { createInbox } from "./inbox.ts";
import { Ledger } from "./ledger.ts";
import { END_CHECK_MS, type NatsSettings } from "./options.ts";
import { Partition } from "./partition.ts";
import { createPublish, type Publish } from "./publish.ts";
import { readPage } from "./read.ts";
import { inSlices } from "./slices.ts";
import { ensureStream, ensureStreams } from "./streams.ts";
import { createSubjects } from "./subjects.ts";

export interface JetStreamDeps {
	readonly nc: NatsConnection;
	readonly settings: NatsSettings;
	readonly clock: Clock;
	random32(): number;
	report(event: TransportEvent): void;
}

export interface JetStream {
	/** Makes or checks the streams, and reads every epoch; a cluster that elects its leaders is asked again. */
	start(signal: AbortSignal): Promise<void>;
	readonly publish: Publish;
	subscribe(channel: Channel, subscriber: Subscriber): Subscription;
	read(asks: readonly Ask[]): Promise<Page>[];
	ends(channels: readonly Channel[]): Promise<(Position | undefined)[]>;
	/** The connection was told that something is not allowed; only without a log does nothing else tell. */
	denied?(error: FanoutError): void;
	disconnected(): void;
	connected(): void;
	close(): void;
}

/** How many times a regular check goes round, at the most, until it has been through all partitions. */
const PARTITION_TURNS = 8;
/** A question about more channels is a regular check, which is spread over so long. */
const FEW = 16;
const CHECK_MS = END_CHECK_MS / 4;
const HEAL = { baseMs: 100, capMs: 1_000 } as const;

/** A channel of a question, and where its answer belongs. */
interface Place {
	readonly key: string;
	readonly log: string;
	readonly at: number;
}

export function createJetStream({ nc, settings, clock, random32, report }: JetStreamDeps): JetStream {
	const { requestTimeoutMs: timeoutMs, partitions: count } = settings;
	const subjects = createSubjects(settings.prefix, count, settings.streamName);
	const inbox = createInbox(nc, loadNatsClient().createInbox(settings.inboxPrefix), clock);
	const api = createApi(inbox, settings.domain, { timeoutMs, createTimeoutMs: settings.connectTimeoutMs });
	const batchGet = createBatchGet(inbox, api.prefix, timeoutMs);
	const stop = new AbortController();
	/** Partitions that failed since they last answered, with the codes. */
	const told = new Set<string>();
	/** Partitions under repair on this connection; true when another round is asked for. */
	let wanted = new Map<Shard, boolean>();
	let line = new AbortController();

	const shards = Array.from({ length: count }, (_, index): Shard => {
		const epochSubject = subjects.epoch(index);
		const followed: Shard["followed"] = new Map();
		const partition = new Partition({
			...{ api, clock, epochSubject, stream: subjects.stream(index) },
			nextEpoch: () => epochOf(random32()),
			ensure: () => ensureStream(api, subjects, settings, index),
			changed: () => {
				const shard = shards[index] as Shard;
				follow.forget(shard);
				heal(shard);
			},
		});
		const ledger = new Ledger({ partition, api, batchGet, clock, epochSubject, followed, stop: stop.signal });
		const capture = subjects.capture(index);
		const missed = { partition, batchGet, capture, followed };
		return { partition, ledger, followed, gate: new Gate(), catchUp: () => catchUp(missed) };
	});

	const follow = createFollow({ nc, subjects, shards, doubt: heal, report });

	/** One that does not answer is told of once, until it does. */
	function failed({ stream }: Partition, cause: unknown, what: string): void {
		const error = asFanoutError(cause, "TransportUnavailable", what, true);
		const code = `${stream} ${error.code}`;
		if (!stop.signal.aborted && !told.has(code)) report({ kind: "error", error });
		told.add(code);
	}

	function answered({ stream }: Partition): void {
		for (const code of told) if (code.startsWith(`${stream} `)) told.delete(code);
	}

	/** One at a time for a partition; whoever asks meanwhile is served by another round. */
	function heal(shard: Shard): void {
		const isUnderWay = wanted.has(shard);
		wanted.set(shard, true);
		if (!isUnderWay) void healAll(shard, wanted, line.signal);
	}

	async function healAll(shard: Shard, rounds: Map<Shard, boolean>, signal: AbortSignal): Promise<void> {
		for (let attempt = 0; rounds.get(shard) === true && !signal.aborted; ) {
			rounds.set(shard, false);
			try {
				await follow.heal(shard);
				answered(shard.partition);
				attempt = 0;
				continue;
			} catch (cause) {
				// The next connection begins anew, with what comes on it behind the gate.
				if (signal.aborted) return;
				// What waits must not wait for a partition without a leader.
				shard.gate.open();
				failed(shard.partition, cause, `the ends of ${shard.partition.stream} were not told`);
			}
			rounds.set(shard, true);
			await pause(
				clock,
				fullJitter(attempt++, HEAL, () => random32() / 2 ** 32),
				signal,
			);
		}
		rounds.delete(shard);
	}

	const inspect = async (partition: Partition): Promise<void> => {
		try {
			await partition.inspect();
			answered(partition);
		} catch (cause) {
			failed(partition, cause, `${partition.stream} could not be inspected`);
		}
	};

	const durability = settings.replicas > 1 ? "replicated" : settings.storage === "file" ? "disk" : "memory";
	const publish = createPublish({
		...{ nc, inbox, subjects, durability, inspect },
		partitions: shards.map(({ partition }) => partition),
		ackTimeoutMs: settings.ackTimeoutMs,
		maxInFlight: settings.maxInFlight,
		batchPrefix: `${random32().toString(36)}-${random32().toString(36)}-`,
		monotonic: () => clock.monotonic(),
		pause: (ms, signal) => pause(clock, ms, signal),
	});
	const epochs = nc.subscribe(subjects.liveEpochs, {
		callback(error, msg) {
			// Renewed or new: the leader says which.
			const shard = error === null ? shards[Number(msg.subject.split(".").at(-3))] : undefined;
			if (shard !== undefined) void inspect(shard.partition);
		},
	});

	return {
		async start(signal) {
			let told = "";
			for (let attempt = 0; ; attempt += 1) {
				try {
					await ensureStreams(api, subjects, settings);
					await Promise.all(shards.map(({ partition }) => partition.inspect()));
					return;
				} catch (error) {
					if (signal.aborted || !isFanoutError(error) || !error.retryable) throw error;
					if (error.message !== told) report({ kind: "error", error: notYet(nc, error) });
					told = error.message;
				}
				await pause(
					clock,
					fullJitter(attempt, HEAL, () => random32() / 2 ** 32),
					signal,
				);
			}
		},
		publish,
		subscribe: (channel, subscriber) => follow.subscribe(channel, subscriber),
		read: (asks) =>
			asks.map((ask) => {
				const address = subjects.of(ask.channel);
				const { partition, followed } = shards[address.partition] as Shard;
				const known = (channel: Channel) => followed.get(channel.key);
				const page = readPage({ partition, batchGet, known }, ask, address);
				page.catch(() => {});
				return page;
			}),
		async ends(channels) {
			const groups = new Map<number, Place[]>();
			for (const [at, channel] of channels.entries()) {
				const { partition, log } = subjects.of(channel);
				const group = groups.get(partition) ?? [];
				groups.set(partition, group);
				group.push({ key: channel.key, log, at });
			}
			const ends: (Position | undefined)[] = channels.map(() => undefined);
			const failures: { readonly partition: Partition; readonly error: unknown }[] = [];
			const workers = Math.ceil(groups.size / PARTITION_TURNS);
			const sliceMs = (CHECK_MS * workers) / groups.size;
			const isRegular = channels.length > FEW;
			const ask = async ([index, group]: readonly [number, readonly Place[]]) => {
				const { gate, ledger, partition } = shards[index] as Shard;
				// What it missed is being handed over, and its ends are told after that.
				if (gate.isShut && groups.size > 1) return;
				try {
					const found = await (isRegular ? ledger.check(group, sliceMs) : ledger.ends(group));
					answered(partition);
					for (const [place, { at }] of group.entries()) {
						const one = found?.[place];
						if (one !== undefined) ends[at] = one;
					}
				} catch (error) {
					failures.push({ partition, error });
				}
			};
			const slices = { clock, sliceMs, mostMs: CHECK_MS, workers, stop: stop.signal };
			await (isRegular ? inSlices([...groups], slices, ask) : Promise.all([...groups].map(ask)));
			// One without a leader keeps no other partition from being checked.
			if (failures.length === groups.size && groups.size > 0) throw failures[0]?.error;
			for (const { partition, error } of failures)
				failed(partition, error, `the ends of ${partition.stream} were not told`);
			return ends;
		},
		disconnected() {
			line.abort();
			inbox.failAll("disconnected");
			for (const { gate, partition } of shards) {
				gate.shut();
				partition.doubt();
			}
		},
		connected() {
			line = new AbortController();
			wanted = new Map();
			for (const shard of shards) heal(shard);
		},
		close() {
			stop.abort();
			line.abort();
			follow.close();
			epochs.unsubscribe();
			inbox.close();
		},
	};
}

function notYet(nc: NatsConnection, cause: FanoutError): FanoutError {
	// In a cluster others may have it.
	const off = nc.info?.jetstream === true ? "" : " (that server itself runs without it)";
	const message = `JetStream is not ready at ${nc.getServer()}${off}: ${cause.message}`;
	return new FanoutError("TransportUnavailable", message, { cause, retryable: true });
}
