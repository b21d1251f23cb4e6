/**
 * Changes by pub/sub, on one connection of its own that opens with the first watch. What was published while it was
 * away is gone: every reconnect makes its watchers suspect. A connection that died without a word is found by a ping.
 */
import type { Cluster, Redis } from "ioredis";
import { parseChannel } from "../core/channel.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import type { StoreWatcher, Watch } from "./store.ts";

const PING_EVERY_MS = 5_000;
const PING_TIMEOUT_MS = 2_000;

export interface RedisChanges {
	watch(channel: string, watcher: StoreWatcher): Promise<Watch>;
	close(): Promise<void>;
}

export interface RedisChangesDeps {
	connected(): Redis | Cluster;
	readonly clock: Clock;
	report(error: unknown): void;
}

/** What the client of the commands was told of queueing and reconnecting is not for a subscription: it has to come back. */
function subscriberOf(client: Redis | Cluster): Redis | Cluster {
	const own = { enableOfflineQueue: true, lazyConnect: false };
	if ("nodes" in client && typeof client.nodes === "function") return client.duplicate(undefined, own);
	return (client as Redis).duplicate({ ...own, autoResubscribe: true });
}

export function createRedisChanges({ connected, clock, report }: RedisChangesDeps): RedisChanges {
	const watchers = new Map<string, Set<StoreWatcher>>();
	let subscriber: Redis | Cluster | undefined;
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

	function ping(to: Redis | Cluster): void {
		timer = clock.after(PING_EVERY_MS, async () => {
			try {
				await withDeadline(
					clock,
					PING_TIMEOUT_MS,
					"a ping of the registry's subscriber",
					async () => void (await to.ping()),
				);
			} catch (error) {
				if (subscriber !== to) return;
				report(error);
				// With Sentinels the library may have given it up for good: then nothing but this dials again.
				if (to.status === "end") to.connect().catch(report);
				else to.disconnect(true);
			}
			if (subscriber === to) ping(to);
		});
	}

	function open(): Redis | Cluster {
		if (subscriber !== undefined) return subscriber;
		const own = subscriberOf(connected());
		subscriber = own;
		own.on("error", report);
		own.on("message", (channel: string, text: string) => tell(text, [...(watchers.get(channel) ?? [])]));
		let stood = false;
		own.on("ready", () => {
			if (stood) suspectAll();
			stood = true;
		});
		ping(own);
		return own;
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
				await subscriber?.unsubscribe(channel);
			}
			try {
				await open().subscribe(channel);
			} catch (error) {
				void close().catch(report);
				throw error;
			}
			return { close };
		},
		async close() {
			timer?.cancel();
			watchers.clear();
			const own = subscriber;
			subscriber = undefined;
			own?.disconnect();
		},
	};
}
