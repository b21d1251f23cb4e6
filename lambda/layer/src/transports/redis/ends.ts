/**
 * Ends, for few requests. Asked for one by one in the same turn they are one question per partition: ten thousand lanes
 * may open at once. Asked for all that is followed, again and again, a partition's tip is enough where everything up to
 * it was heard; only what that cannot vouch for is looked up.
 */
import type { Channel } from "../../core/channel.ts";
import type { Position } from "../../core/position.ts";
import type { Bounds } from "../../core/transport.ts";
import type { Followers } from "./followers.ts";
import type { Keys } from "./keys.ts";
import type { Store, Tip } from "./store.ts";

/** Channels in one question: the server does nothing else meanwhile. */
export const ENDS_CHANNELS = 128;

export interface Ends {
	/** Looked up, with others that are asked for in the same turn. */
	one(channel: Channel): Promise<Position>;
	/** In the order of the channels. The oldest of one that was vouched for is as it was when last looked up. */
	all(channels: readonly Channel[]): Promise<Bounds[]>;
	/** Looked up in a partition; what is heard from here on continues it. */
	lookUp(partition: number, channels: readonly Channel[]): Promise<Bounds[]>;
}

interface Waiting {
	readonly channel: Channel;
	resolve(end: Position): void;
	reject(error: unknown): void;
}

export interface EndsDeps {
	readonly keys: Keys;
	readonly store: Store;
	readonly followers: Pick<Followers, "learn" | "vouched">;
}

export function createEnds({ keys, store, followers }: EndsDeps): Ends {
	let waiting: Waiting[] = [];

	async function lookUp(partition: number, channels: readonly Channel[]): Promise<Bounds[]> {
		const chunks: Promise<Bounds[]>[] = [];
		for (let at = 0; at < channels.length; at += ENDS_CHANNELS) {
			const some = channels.slice(at, at + ENDS_CHANNELS);
			const asking = store.ends(partition, some).then(({ tip, bounds }) => {
				for (const [index, each] of bounds.entries()) followers.learn(partition, some[index] as Channel, tip, each);
				return bounds;
			});
			chunks.push(asking);
		}
		return (await Promise.all(chunks)).flat();
	}

	async function check(
		partition: number,
		channels: readonly Channel[],
		tip: Tip | undefined,
		found: Map<string, Bounds>,
	): Promise<void> {
		const rest = channels.filter((channel) => {
			const bounds = tip && followers.vouched(partition, channel, tip);
			if (bounds !== undefined) found.set(channel.key, bounds);
			return bounds === undefined;
		});
		if (rest.length === 0) return;
		const bounds = await lookUp(partition, rest);
		for (const [index, { key }] of rest.entries()) found.set(key, bounds[index] as Bounds);
	}

	function flush(): void {
		const asked = Map.groupBy(waiting, ({ channel }) => keys.partitionOf(channel));
		waiting = [];
		for (const [partition, some] of asked) {
			lookUp(
				partition,
				some.map(({ channel }) => channel),
			).then(
				(bounds) => {
					for (const [index, { resolve }] of some.entries()) resolve((bounds[index] as Bounds).end);
				},
				(error) => {
					for (const { reject } of some) reject(error);
				},
			);
		}
	}

	return {
		lookUp,
		one: (channel) =>
			new Promise((resolve, reject) => {
				waiting.push({ channel, resolve, reject });
				if (waiting.length === 1) setImmediate(flush);
			}),
		async all(channels) {
			const found = new Map<string, Bounds>();
			const byPartition = [...Map.groupBy(channels, keys.partitionOf)];
			// What is to be looked up anyhow needs no tip, and one channel alone is as soon looked up.
			const isOne = channels.length === 1;
			const quick = byPartition.map(([partition]) => partition).filter((each) => !isOne && !store.isRenewalDue(each));
			const tips = await store.tips(quick);
			await Promise.all(byPartition.map(([partition, some]) => check(partition, some, tips.get(partition), found)));
			return channels.map(({ key }) => found.get(key) as Bounds);
		},
	};
}
