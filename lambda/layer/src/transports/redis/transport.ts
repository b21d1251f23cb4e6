/**
 * The redis transport: logs in a Redis or Valkey server, Sentinel group or cluster; live entries by publish/subscribe
 * of their partition. Scripts keep the logs (*-script.ts), a listener hears and watches itself (line.ts). Replication is
 * asynchronous: a failover can lose what was acknowledged, and then shows as another epoch.
 */
import { asTheyCome } from "../../core/as-they-come.ts";
import type { Channel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { type Envelope, envelopeBytes } from "../../core/envelope.ts";
import { FanoutError, isFanoutError } from "../../core/errors.ts";
import type { Ids } from "../../core/ids.ts";
import type { Position } from "../../core/position.ts";
import type { Ask, Durability, Outcome, Transport, TransportHost } from "../../core/transport.ts";
import { type Client, createDialler, isCluster } from "./client.ts";
import { nodeOf, primaryOf } from "./cluster.ts";
import { createCopies } from "./copies.ts";
import { createEnds, type Ends } from "./ends.ts";
import { failureOf } from "./failure.ts";
import { createFollowers, type Followers } from "./followers.ts";
import { createKeys } from "./keys.ts";
import { createListener, type Listener } from "./listener.ts";
import { endpointOf, type RedisOptions, resolveSettings } from "./options.ts";
import { checkVersion, durabilityOf, waitReady } from "./server.ts";
import { type Accepted, createStore, type Store } from "./store.ts";

export interface RedisParts {
	readonly clock: Clock;
	readonly ids: Ids;
	readonly instanceId: string;
}

const MAX_BATCH = 100;
const MAX_BATCH_BYTES = 1024 * 1024;
const END_CHECK_MS = 1_000;
/** Channels in one check of ends, which goes by partition; more would hold this process up while they are compared. */
const ENDS_BATCH = 5_000;
const RENEW_MS = 60_000;

interface Running {
	readonly client: Client;
	readonly store: Store;
	readonly followers: Followers;
	readonly listener: Listener;
	readonly ends: Ends;
	durability: Durability;
	stop(): void;
}

export function createRedisTransport(options: RedisOptions, { clock, ids, instanceId }: RedisParts): Transport {
	const settings = resolveSettings(options);
	const { retentionMs, dedupMs, maxPayloadBytes, wait } = settings;
	const endpoint = endpointOf(options);
	const keys = createKeys(settings.prefix, settings.partitions);
	const random = () => ids.random32() / 2 ** 32;
	const copies = wait && createCopies(wait);
	let running: Running | undefined;
	let closed = false;

	const usable = (signal?: AbortSignal): Running | FanoutError => {
		if (closed) return new FanoutError("Closed", "the redis transport is closed");
		if (signal?.aborted) return new FanoutError("Aborted", "the call was aborted", { cause: signal.reason });
		const message = "the redis transport has not started yet";
		return running ?? new FanoutError("TransportUnavailable", message, { retryable: true });
	};
	const insist = (signal?: AbortSignal): Running => {
		const found = usable(signal);
		if (isFanoutError(found)) throw found;
		return found;
	};

	async function asking<T>(what: string, ask: () => Promise<T>): Promise<T> {
		try {
			return await ask();
		} catch (cause) {
			throw failureOf(cause, what).error;
		}
	}

	function run(client: Client, host: TransportHost): Running {
		const sharded = isCluster(client);
		const report = (error: FanoutError) => host.report({ kind: "error", error });
		const dialler = createDialler({ ...options, client: options.client }, settings.connectTimeoutMs, { clock, random });
		const store = createStore({
			client,
			keys,
			settings,
			sharded,
			random32: () => ids.random32(),
			report,
		});
		const followers = createFollowers({
			monotonic: () => clock.monotonic(),
			renewMs: Math.min(RENEW_MS, retentionMs / 4),
			saw: store.saw,
			lookUp: (partition, channels) => asking("an end check failed", () => ends.lookUp(partition, channels)),
			report,
		});
		const ends = createEnds({
			clock,
			keys,
			store,
			followers,
			report: (cause) => report(failureOf(cause, "the ends of a partition could not be asked for").error),
		});
		const listener = createListener({
			clock,
			keys,
			sharded,
			instance: instanceId,
			random,
			dial: dialler.listener,
			nodeOf: isCluster(client) ? (partition) => nodeOf(client, keys.meta(partition)) : undefined,
			publish: (channel, text) => (sharded ? client.spublish(channel, text) : client.publish(channel, text)),
			heard: followers.heard,
			restored: (partitions) => followers.recheck(partitions).catch(report),
			report: (event) => host.report(event),
		});
		const found: Running = {
			client,
			store,
			followers,
			listener,
			ends,
			durability: "memory",
			stop() {
				client.removeListener("ready", onReady);
				client.removeListener("+node", onReady);
				client.removeListener("close", onClose);
				listener.close();
				followers.clear();
				if (options.client === undefined) client.disconnect();
				else client.removeListener("error", ignore);
			},
		};
		const onReady = () => {
			host.report({ kind: "connected", detail: endpoint });
			durabilityOf(client).then((durability) => {
				found.durability = durability;
			}, ignore);
		};
		const onClose = () => host.report({ kind: "disconnected", detail: endpoint });
		client.on("ready", onReady);
		client.on("+node", onReady);
		client.on("close", onClose);
		return found;
	}

	/** Refusals of the whole batch, or from one envelope on. */
	function refuse(count: number, error: FanoutError, uncertain = false): Outcome[] {
		return Array.from({ length: count }, () => ({ ok: false, uncertain, error }));
	}

	function firstBad(channel: Channel, batch: readonly Envelope[]): { at: number; error: FanoutError } | undefined {
		for (const [at, envelope] of batch.entries()) {
			if (envelope.channel.key !== channel.key) {
				return { at, error: new FanoutError("InvalidEnvelope", "an envelope of another channel in the batch") };
			}
			const bytes = envelopeBytes(envelope);
			if (bytes <= maxPayloadBytes) continue;
			const message = `an envelope of ${bytes} bytes, at most ${maxPayloadBytes} are accepted`;
			return { at, error: new FanoutError("PayloadTooLarge", message, { data: { bytes, maxPayloadBytes } }) };
		}
		return undefined;
	}

	/** How many replicas had the writes of this connection in time decides what is said of them. */
	async function durabilityNow(at: Running, channel: Channel): Promise<Durability> {
		if (copies === undefined) return at.durability;
		try {
			const primary = primaryOf(at.client, keys.meta(keys.partitionOf(channel)));
			return primary !== undefined && (await copies(primary)) ? "replicated" : at.durability;
		} catch {
			// The write stands; only its copies are not known.
			return at.durability;
		}
	}

	return {
		name: "redis",
		place: `redis/${settings.prefix}`,
		capabilities: {
			reach: "fleet",
			replay: true,
			dedupMs,
			endCheckMs: END_CHECK_MS,
			endsBatch: ENDS_BATCH,
			retentionMs,
			batch: { count: MAX_BATCH, bytes: MAX_BATCH_BYTES },
			positionAtAccept: true,
			maxPayloadBytes,
		},
		async start(host, signal) {
			if (closed || running !== undefined) throw new FanoutError("Closed", "a redis transport starts once");
			const client = createDialler(options, settings.connectTimeoutMs, { clock, random }).commands();
			// Connection errors are told by what fails because of them; without a listener they would be thrown.
			client.on("error", ignore);
			let started: Running | undefined;
			// A ready client may wait for ever for a server that hangs.
			const checked = <T>(what: string, ask: () => Promise<T>): Promise<T> => {
				const check = `the check of ${what} of redis at ${endpoint}`;
				return asking(`${check} was refused`, () => withDeadline(clock, settings.connectTimeoutMs, check, ask, signal));
			};
			try {
				await waitReady(client, endpoint, settings.connectTimeoutMs, clock, signal);
				await checked("the version", () => checkVersion(client, endpoint));
				started = run(client, host);
				const { store } = started;
				await checked("the partitions", () => store.open());
				started.durability = await checked("the durability", () => durabilityOf(client));
				if (signal.aborted || closed)
					throw new FanoutError("Aborted", "the start was aborted", { cause: signal.reason });
				running = started;
			} catch (error) {
				if (started !== undefined) started.stop();
				else if (options.client === undefined) client.disconnect();
				else client.removeListener("error", ignore);
				throw error;
			}
		},
		async publish(channel, batch, _options, signal) {
			const at = usable(signal);
			// Nothing was sent: no doubt about it, as there would be if it was thrown.
			if (isFanoutError(at)) return refuse(batch.length, at);
			if (batch.length > MAX_BATCH) {
				const message = `a batch of ${batch.length} envelopes, at most ${MAX_BATCH} are accepted`;
				return refuse(batch.length, new FanoutError("TransportRefused", message));
			}
			const bad = firstBad(channel, batch);
			const good = bad === undefined ? batch : batch.slice(0, bad.at);
			const rest = bad === undefined ? [] : refuse(batch.length - bad.at, bad.error);
			if (good.length === 0) return rest;
			let accepted: Accepted[];
			try {
				accepted = await at.store.publish(channel, good);
			} catch (cause) {
				const { error, uncertain } = failureOf(cause, `redis at ${endpoint} did not take a batch`);
				return refuse(batch.length, error, uncertain);
			}
			const durability = await durabilityNow(at, channel);
			const taken = accepted.map((each): Outcome => ({ ok: true, ...each, durability, reach: "fleet" }));
			return [...taken, ...rest];
		},
		subscribe(channel, subscriber) {
			let close = () => {};
			const follow = async (): Promise<Position> => {
				const { followers, listener, ends } = insist();
				const partition = keys.partitionOf(channel);
				const end = followers.add(partition, channel, subscriber);
				close = () => {
					close = () => {};
					end();
					if (!followers.has(partition)) listener.unfollow(partition);
				};
				await listener.follow(partition);
				return asking("an end could not be asked for", () => ends.one(channel));
			};
			const ready = follow();
			// Whoever waits for it sees it; whoever closed first must not bring the process down.
			ready.catch(() => {});
			return { ready, close: () => close() };
		},
		async *read(asks, signal) {
			const { store } = insist(signal);
			const page = (ask: Ask) => asking("a log could not be read", () => store.read(ask));
			const byChannel = Map.groupBy(asks, ({ channel }) => channel.key);
			for await (const found of asTheyCome([...byChannel.values()].map((some) => some.map(page)))) {
				yield found;
				insist(signal);
			}
		},
		async ends(channels, signal) {
			const { ends } = insist(signal);
			return asking("ends could not be asked for", () => ends.all(channels));
		},
		async close() {
			if (closed) return;
			closed = true;
			running?.stop();
			running = undefined;
		},
	};
}

const ignore = () => {};
