/**
 * Changes by pub/sub, on one connection of its own that is dialled with the first watch and again for ever: to the next
 * node of a cluster each time, since a change is told by all of them. What was published while it was away is gone: once
 * everything is subscribed again its watchers are suspect. A connection that died without a word is found by a ping.
 */
import type { Cluster, Redis } from "ioredis";
import { type BackoffLimits, fullJitter } from "../core/backoff.ts";
import { parseChannel } from "../core/channel.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { bare, FanoutError } from "../core/errors.ts";
import type { StoreWatcher, Watch } from "./store.ts";

const PING_EVERY_MS = 5_000;
const PING_TIMEOUT_MS = 2_000;
const DIAL_TIMEOUT_MS = 10_000;
const REDIAL: BackoffLimits = { baseMs: 25, capMs: 1_000 };

export interface RedisChanges {
	watch(channel: string, watcher: StoreWatcher): Promise<Watch>;
	close(): Promise<void>;
}

export interface RedisChangesDeps {
	connected(): Redis | Cluster;
	readonly clock: Clock;
	report(error: unknown): void;
}

/**
 * It ends with its connection, whatever the client of the commands was told of queueing and reconnecting: the library says
 * `ready` before a subscription stands again, and for a cluster's subscriber says nothing at all.
 */
function subscriberOf(client: Redis | Cluster, dials: number): Redis {
	const own = { enableOfflineQueue: false, lazyConnect: true, autoResubscribe: false, retryStrategy: null } as const;
	if (!("nodes" in client && typeof client.nodes === "function"))
		return (client as Redis).duplicate({ ...own } as never);
	const nodes = client.nodes("master");
	const node = nodes[dials % Math.max(nodes.length, 1)];
	if (node === undefined) throw new FanoutError("TransportUnavailable", "no node of the cluster is known");
	return node.duplicate({ ...own } as never);
}

export function createRedisChanges({ connected, clock, report }: RedisChangesDeps): RedisChanges {
	const watchers = new Map<string, Set<StoreWatcher>>();
	let subscriber: Redis | undefined;
	/** The dial that goes on, or went well: everything that was watched when it began is subscribed. */
	let standing: Promise<Redis> | undefined;
	let stood = false;
	let dials = 0;
	let failures = 0;
	let timer: Timer | undefined;

	function tell(text: string, to: Iterable<StoreWatcher>): void {
		try {
			const session = parseChannel(text);
			for (const watcher of to) watcher.changed(session);
		} catch (error) {
			report(error);
			for (const watcher of to) watcher.suspect();
		}
	}

	function suspectAll(): void {
		for (const set of watchers.values()) for (const watcher of set) watcher.suspect();
	}

	function ping(to: Redis): void {
		timer = clock.after(PING_EVERY_MS, async () => {
			try {
				await withDeadline(
					clock,
					PING_TIMEOUT_MS,
					"a ping of the registry's subscriber",
					async () => void (await to.ping()),
				);
				if (subscriber === to) ping(to);
			} catch (error) {
				lost(to, error);
			}
		});
	}

	function lost(own: Redis | undefined, cause: unknown): void {
		if (subscriber !== own || standing === undefined) return;
		timer?.cancel();
		own?.disconnect();
		subscriber = undefined;
		standing = undefined;
		report(cause);
		if (watchers.size > 0) timer = clock.after(fullJitter(failures++, REDIAL, Math.random), () => void open());
	}

	async function dial(): Promise<Redis> {
		const own = subscriberOf(connected(), dials++);
		subscriber = own;
		own.on("error", report);
		own.on("message", (channel: string, text: string) => tell(text, [...(watchers.get(channel) ?? [])]));
		await withDeadline(clock, DIAL_TIMEOUT_MS, "subscribing to the registry's changes", async () => {
			await own.connect();
			if (watchers.size > 0) await own.subscribe(...watchers.keys());
		});
		own.once("end", () => lost(own, new FanoutError("TransportUnavailable", "the registry's subscriber was cut off")));
		failures = 0;
		ping(own);
		if (stood) suspectAll();
		stood = true;
		return own;
	}

	function open(): Promise<Redis> {
		if (standing !== undefined) return standing;
		timer?.cancel();
		const dialling = dial();
		standing = dialling;
		dialling.catch((error) => {
			if (standing === dialling) lost(subscriber, error);
		});
		return dialling;
	}

	return {
		async watch(channel, watcher) {
			// One of its own, so that the same listener may watch twice.
			const entry: StoreWatcher = { changed: (session) => watcher.changed(session), suspect: () => watcher.suspect() };
			const set = watchers.get(channel) ?? new Set();
			watchers.set(channel, set.add(entry));
			async function close(): Promise<void> {
				set.delete(entry);
				if (set.size > 0 || watchers.get(channel) !== set) return;
				watchers.delete(channel);
				if (subscriber?.status === "ready") await subscriber.unsubscribe(channel);
			}
			try {
				await (await open()).subscribe(channel);
			} catch (error) {
				void close().catch(report);
				throw bare(error);
			}
			return { close };
		},
		async close() {
			timer?.cancel();
			watchers.clear();
			const own = subscriber;
			subscriber = undefined;
			standing = undefined;
			own?.disconnect();
		},
	};
}
