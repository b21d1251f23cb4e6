/** Ends asked for one by one in the same turn, as one question per partition: ten thousand lanes may open at once. */
import type { Channel } from "../../core/channel.ts";
import type { Position } from "../../core/position.ts";
import type { Bounds } from "../../core/transport.ts";
import type { Keys } from "./keys.ts";

export interface EndAsker {
	ask(channel: Channel): Promise<Position>;
}

interface Waiting {
	readonly channel: Channel;
	resolve(end: Position): void;
	reject(error: unknown): void;
}

export function createEndAsker(keys: Keys, ends: (channels: readonly Channel[]) => Promise<Bounds[]>): EndAsker {
	let waiting: Waiting[] = [];

	function flush(): void {
		const asked = Map.groupBy(waiting, ({ channel }) => keys.partitionOf(channel));
		waiting = [];
		for (const some of asked.values()) {
			ends(some.map(({ channel }) => channel)).then(
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
		ask: (channel) =>
			new Promise((resolve, reject) => {
				waiting.push({ channel, resolve, reject });
				if (waiting.length === 1) setImmediate(flush);
			}),
	};
}
