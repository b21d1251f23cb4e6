/**
 * All logs of the local transport under their bounds. Per channel: count and age. In total: events (a log counts as
 * one more) and bytes; the least recently used channel goes first, one that is followed never, and if only followed
 * ones are left the least recently published of them loses the older half of its ring.
 * An evicted channel that comes back must not look like one that never lost anything: logs made anew, and the ends
 * reported for unknown channels, start at `floor`, the highest offset ever evicted.
 */
import type { Channel } from "../../core/channel.ts";
import type { Subscriber } from "../../core/transport.ts";
import { append, countOf, createLog, dropOldest, endOf, type Kept, type Log, lastAtOf } from "./log.ts";
import { Lru } from "./lru.ts";
import type { LocalLimits } from "./options.ts";
import type { Store } from "./store.ts";

export interface Shelf {
	/** The log, made when there is none. */
	open(channel: Channel): Log;
	/** The log, or what it would be: an empty one at the floor that is not kept. */
	peek(channel: Channel): Log;
	/** Followed by this subscriber, or by none. */
	follow(log: Log, subscriber: Subscriber | undefined): void;
	/** From now on nobody follows any log of this shelf, which is used no more. */
	close(): void;
	/** Drops what is too old. */
	expire(log: Log, now: number): void;
	/** Makes room before events of this many bytes enter the log. */
	makeRoom(log: Log, count: number, bytes: number): void;
	append(log: Log, event: Kept): void;
	readonly floor: number;
	stats(): { logs: number; events: number; bytes: number };
}

export function createShelf(limits: LocalLimits, store: Store, floor = 0, floorAt = 0): Shelf {
	const logs = new Map<string, Log>();
	const idle = new Lru();
	const followed = new Lru();
	let events = 0;
	let bytes = 0;

	const homeOf = (log: Log): Lru => (log.subscriber === undefined ? idle : followed);

	const drop = (log: Log, count: number) => {
		if (count <= 0) return;
		for (let index = 0; index < count; index += 1) bytes -= dropOldest(log);
		events -= count;
		store.noteDrop(log.channel.key, log.base, log.baseAt);
	};

	const evict = (log: Log) => {
		floor = Math.max(floor, endOf(log));
		floorAt = Math.max(floorAt, lastAtOf(log));
		for (let index = log.head; index < log.kept.length; index += 1) bytes -= (log.kept[index] as Kept).bytes;
		events -= countOf(log);
		idle.remove(log);
		logs.delete(log.channel.key);
		store.noteEviction(log.channel.key, floor, floorAt);
	};

	const over = (moreEvents: number, moreBytes: number) =>
		events + logs.size + moreEvents > limits.maxEvents || bytes + moreBytes > limits.maxBytes;

	const shrink = (spared: Log, moreEvents: number, moreBytes: number) => {
		while (over(moreEvents, moreBytes)) {
			const log = idle.oldest === spared ? spared.newer : idle.oldest;
			if (log === undefined) break;
			evict(log);
		}
		if (!over(moreEvents, moreBytes)) return;
		// A sixteenth is freed beyond the need, so that the walk over everything followed is rare.
		const eventsToo = moreEvents + Math.floor(limits.maxEvents / 16);
		const bytesToo = moreBytes + Math.floor(limits.maxBytes / 16);
		for (let log = followed.oldest; log !== undefined; log = log.newer) {
			if (!over(eventsToo, bytesToo)) return;
			drop(log, Math.ceil(countOf(log) / 2));
		}
		for (let log = followed.oldest; log !== undefined; log = log.newer) {
			if (!over(moreEvents, moreBytes)) return;
			drop(log, countOf(log));
		}
		if (over(moreEvents, moreBytes)) drop(spared, countOf(spared));
	};

	return {
		open(channel) {
			let log = logs.get(channel.key);
			if (log === undefined) {
				log = createLog(channel, floor, floorAt);
				logs.set(channel.key, log);
				idle.add(log);
				shrink(log, 0, 0);
			} else homeOf(log).touch(log);
			return log;
		},
		peek: (channel) => logs.get(channel.key) ?? createLog(channel, floor, floorAt),
		follow(log, subscriber) {
			homeOf(log).remove(log);
			log.subscriber = subscriber;
			homeOf(log).add(log);
		},
		close() {
			for (let log = followed.oldest; log !== undefined; log = log.newer) log.subscriber = undefined;
		},
		expire(log, now) {
			let count = 0;
			const oldest = now - limits.retentionMs;
			while (log.head + count < log.kept.length && (log.kept[log.head + count] as Kept).at <= oldest) count += 1;
			drop(log, count);
		},
		makeRoom(log, count, size) {
			drop(log, Math.min(countOf(log), countOf(log) + count - limits.maxEventsPerChannel));
			shrink(log, Math.min(count, limits.maxEventsPerChannel), size);
		},
		append(log, event) {
			append(log, event);
			bytes += event.bytes;
			events += 1;
			drop(log, countOf(log) - limits.maxEventsPerChannel);
			if (over(0, 0)) shrink(log, 0, 0);
		},
		get floor() {
			return floor;
		},
		stats: () => ({ logs: logs.size, events, bytes }),
	};
}
