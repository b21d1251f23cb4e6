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

/** Channels that are vouched for in one turn: with very many, entries are handed over between them. */
const TURN_CHANNELS = 64;
/** Channels in one question: the server does nothing else meanwhile. */
export const ENDS_CHANNELS = 128;

export interface Ends {
	/** Looked up, with others that are asked for in the same turn. */
	one(channel: Channel): Promise<Position>;
	/**
	 * In the order of the channels, without those of partitions that do not answer where others do. The oldest of one that
	 * was vouched for is as it was when last looked up.
	 */
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
	/** A partition did not answer. */
	report(cause: unknown): void;
}

export function createEnds({ keys, store, followers, report }: EndsDeps): Ends {
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

	/** Looks up those at these places in the list. */
	async function check(
		partition: number,
		channels: readonly Channel[],
		places: readonly number[],
		found: Bounds[],
	): Promise<void> {
		const bounds = await lookUp(
			partition,
			places.map((place) => channels[place] as Channel),
		);
		for (const [index, place] of places.entries()) found[place] = bounds[index] as Bounds;
	}

	/** The places of those that a tip does not vouch for. */
	function unvouched(
		partition: number,
		channels: readonly Channel[],
		places: readonly number[],
		tip: Tip | undefined,
		found: Bounds[],
	): readonly number[] {
		if (tip === undefined) return places;
		return places.filter((place) => {
			const bounds = followers.vouched(partition, channels[place] as Channel, tip);
			if (bounds !== undefined) found[place] = bounds;
			return bounds === undefined;
		});
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
			const found: Bounds[] = [];
			const byPartition = new Map<number, number[]>();
			for (const [place, channel] of channels.entries()) {
				const partition = keys.partitionOf(channel);
				const places = byPartition.get(partition);
				if (places === undefined) byPartition.set(partition, [place]);
				else places.push(place);
			}
			// What is to be looked up anyhow needs no tip, and one channel alone is as soon looked up.
			const isOne = channels.length === 1;
			const tips = await store.tips([...byPartition.keys()].filter((each) => !isOne && !store.isRenewalDue(each)));
			const asking: Promise<void>[] = [];
			const failures: unknown[] = [];
			let inTurn = 0;
			for (const [partition, places] of byPartition) {
				const rest = unvouched(partition, channels, places, tips.get(partition), found);
				const failed = (cause: unknown) => void failures.push(cause);
				if (rest.length > 0) asking.push(check(partition, channels, rest, found).catch(failed));
				inTurn += places.length;
				if (inTurn < TURN_CHANNELS) continue;
				inTurn = 0;
				await new Promise((resolve) => setImmediate(resolve));
			}
			await Promise.all(asking);
			if (failures.length === byPartition.size && failures.length > 0) throw failures[0];
			for (const cause of failures) report(cause);
			return found;
		},
	};
}
