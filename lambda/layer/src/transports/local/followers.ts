/** The live subscribers of the local transport, one per channel. */
import type { Channel } from "../../core/channel.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Entry, Subscriber, TransportEvent } from "../../core/transport.ts";

interface Follower {
	readonly subscriber: Subscriber;
	readonly waiting: Entry[];
	handing: boolean;
	closed: boolean;
}

export interface Followers {
	/** Returns what ends it; idempotent, and of no effect on a later subscriber of the channel. */
	add(channel: Channel, subscriber: Subscriber, onClose: () => void): () => void;
	hand(channel: Channel, entries: readonly Entry[]): void;
	clear(): void;
}

export function createFollowers(report: (event: TransportEvent) => void): Followers {
	const all = new Map<string, Follower>();
	return {
		add(channel, subscriber, onClose) {
			if (all.has(channel.key)) {
				throw new FanoutError("Unsupported", "a channel has one live subscription; the engine shares it");
			}
			const follower: Follower = { subscriber, waiting: [], handing: false, closed: false };
			all.set(channel.key, follower);
			return () => {
				if (follower.closed) return;
				follower.closed = true;
				all.delete(channel.key);
				onClose();
			};
		},
		/** One at a time, in order, even when a subscriber publishes to its own channel from inside `entry`. */
		hand(channel, entries) {
			const follower = all.get(channel.key);
			if (follower === undefined) return;
			for (const entry of entries) follower.waiting.push(entry);
			if (follower.handing) return;
			follower.handing = true;
			for (let index = 0; index < follower.waiting.length && !follower.closed; index += 1) {
				try {
					follower.subscriber.entry(follower.waiting[index] as Entry);
				} catch (cause) {
					report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "a subscriber failed") });
				}
			}
			follower.waiting.length = 0;
			follower.handing = false;
		},
		clear() {
			for (const follower of all.values()) follower.closed = true;
			all.clear();
		},
	};
}
