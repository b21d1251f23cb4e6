/**
 * Ends, for few requests. Asked for one by one in the same turn they are one question per partition: ten thousand lanes
 * may open at once. Asked for all that is followed, again and again, a partition's tip is enough where everything up to
 * it was heard; only what that cannot vouch for is looked up. A part that hangs, as a cluster's node that is held still,
 * is not waited for, and what is followed there is told when it answers.
 */
import type { Channel } from "../../core/channel.ts";
import { type Clock, pause } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Followers } from "./followers.ts";
import type { Keys } from "./keys.ts";
import type { Store, Tip } from "./store.ts";

/** Channels that are vouched for in one turn: with very many, entries are handed over between them. */
const TURN_CHANNELS = 64;
/** How much longer than the first the other partitions may take. */
const GRACE_MS = 500;
/** Channels in one question: the server does nothing else meanwhile. */
export const ENDS_CHANNELS = 128;

export interface Ends {
	/** Looked up, with others that are asked for in the same turn. */
	one(channel: Channel): Promise<Position>;
	/** In the order of the channels, without those of partitions that do not answer where others do. */
	all(channels: readonly Channel[]): Promise<(Position | undefined)[]>;
	/** Looked up in a partition; what is heard from here on continues it. */
	lookUp(partition: number, channels: readonly Channel[]): Promise<Position[]>;
}

interface Waiting {
	readonly channel: Channel;
	resolve(end: Position): void;
	reject(error: unknown): void;
}

export interface EndsDeps {
	readonly clock: Clock;
	readonly keys: Keys;
	readonly store: Store;
	readonly followers: Pick<Followers, "learn" | "vouched" | "recheck">;
	/** A partition did not answer. */
	report(cause: unknown): void;
}

export function createEnds({ clock, keys, store, followers, report }: EndsDeps): Ends {
	let waiting: Waiting[] = [];
	/** Partitions that have not answered yet what `all` asked. */
	const late = new Set<number>();

	async function lookUp(partition: number, channels: readonly Channel[]): Promise<Position[]> {
		const chunks: Promise<Position[]>[] = [];
		for (let at = 0; at < channels.length; at += ENDS_CHANNELS) {
			const some = channels.slice(at, at + ENDS_CHANNELS);
			const asking = store.ends(partition, some).then(({ tip, ends }) => {
				for (const [index, end] of ends.entries()) followers.learn(partition, some[index] as Channel, tip, end);
				return ends;
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
		found: Position[],
	): Promise<void> {
		const ends = await lookUp(
			partition,
			places.map((place) => channels[place] as Channel),
		);
		for (const [index, place] of places.entries()) found[place] = ends[index] as Position;
	}

	/** The places of those that a tip does not vouch for. */
	function unvouched(
		partition: number,
		channels: readonly Channel[],
		places: readonly number[],
		tip: Tip | undefined,
		found: Position[],
	): readonly number[] {
		if (tip === undefined) return places;
		return places.filter((place) => {
			const end = followers.vouched(partition, channels[place] as Channel, tip);
			if (end !== undefined) found[place] = end;
			return end === undefined;
		});
	}

	/** Waits for the answers, none of which rejects: for those that are late not for long. */
	async function inTime(asked: ReadonlyMap<number, Promise<unknown>>): Promise<void> {
		const awaited = new Map(asked);
		const over = new AbortController();
		const answers = [...asked].map(([partition, answer]) => answer.then(() => void awaited.delete(partition)));
		const patience = Promise.race(answers).then(() => pause(clock, GRACE_MS, over.signal));
		await Promise.race([Promise.all(answers), patience]);
		over.abort();
		for (const [partition, answer] of awaited) {
			late.add(partition);
			answer
				.then(() => followers.recheck([partition]))
				.catch(report)
				.finally(() => late.delete(partition));
		}
	}

	function flush(): void {
		const asked = Map.groupBy(waiting, ({ channel }) => keys.partitionOf(channel));
		waiting = [];
		for (const [partition, some] of asked) {
			lookUp(
				partition,
				some.map(({ channel }) => channel),
			).then(
				(ends) => {
					for (const [index, { resolve }] of some.entries()) resolve(ends[index] as Position);
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
			const found: Position[] = [];
			const byPartition = new Map<number, number[]>();
			for (const [place, channel] of channels.entries()) {
				const partition = keys.partitionOf(channel);
				if (late.has(partition)) continue;
				const places = byPartition.get(partition);
				if (places === undefined) byPartition.set(partition, [place]);
				else places.push(place);
			}
			// One channel alone is as soon looked up.
			const tips = store.tips(channels.length === 1 ? [] : [...byPartition.keys()]);
			await inTime(tips);
			const asking = new Map<number, Promise<void>>();
			const failures: unknown[] = [];
			let inTurn = 0;
			for (const [partition, places] of byPartition) {
				if (late.has(partition)) continue;
				const rest = unvouched(partition, channels, places, await tips.get(partition), found);
				const failed = (cause: unknown) => void failures.push(cause);
				if (rest.length > 0) asking.set(partition, check(partition, channels, rest, found).catch(failed));
				inTurn += places.length;
				if (inTurn < TURN_CHANNELS) continue;
				inTurn = 0;
				await new Promise((resolve) => setImmediate(resolve));
			}
			await inTime(asking);
			if (found.length === 0 && channels.length > 0) throw failures[0] ?? hanging();
			for (const cause of failures) report(cause);
			return found;
		},
	};
}

function hanging(): FanoutError {
	return new FanoutError("TransportUnavailable", "the last question has no answer yet", { retryable: true });
}
