/** The channels that this instance follows, by partition, and what is handed to each. */
import type { Channel } from "../../core/channel.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Position } from "../../core/position.ts";
import type { Entry, Subscriber } from "../../core/transport.ts";
import { ENDS_CHANNELS } from "./ends.ts";
import { Run } from "./run.ts";
import { envelopeOf, type Tip } from "./store.ts";

interface Follow {
	readonly channel: Channel;
	readonly subscriber: Subscriber;
	/** Entries handed over: an end that was asked for before the last of them may be older than it. */
	handed: number;
	/** The newest that was heard. */
	heard: Position | undefined;
	/** What was last looked up, and the partition's tip then, and when. */
	known: { readonly tip: Tip; readonly end: Position; readonly atMs: number } | undefined;
}

export interface Followers {
	/** Throws when the channel is followed already. Returns what ends it; idempotent. */
	add(partition: number, channel: Channel, subscriber: Subscriber): () => void;
	/** Whether a partition has followers. */
	has(partition: number): boolean;
	/** Dispatches what was published to a partition. */
	heard(partition: number, text: string): void;
	/** A channel's end was looked up when the partition's tip was there. */
	learn(partition: number, channel: Channel, tip: Tip, end: Position): void;
	/** A channel's end at the tip, when all that came since it was looked up was heard, and that is not long ago. */
	vouched(partition: number, channel: Channel, tip: Tip): Position | undefined;
	/** Asks for the ends of all that is followed in these partitions, and tells each. */
	recheck(partitions: readonly number[]): Promise<void>;
	clear(): void;
}

export interface FollowersDeps {
	monotonic(): number;
	/** What was looked up longer ago is looked up again, so that it does not expire. */
	readonly renewMs: number;
	saw(partition: number, epoch: string, offset: number): void;
	lookUp(partition: number, channels: readonly Channel[]): Promise<Position[]>;
	report(error: FanoutError): void;
}

/** `epoch first last prev` */
const HEAD = /^([0-9a-f]{8}) (\d{1,15}) (\d{1,15}) (\d{1,15})$/;

export function createFollowers(deps: FollowersDeps): Followers {
	const byPartition = new Map<number, Map<string, Follow>>();
	const runs = new Map<number, Run>();

	const guarded = (call: () => void) => {
		try {
			call();
		} catch (cause) {
			deps.report(asFanoutError(cause, "TransportRefused", "a subscriber failed"));
		}
	};

	function hand(follow: Follow, position: Position, prev: Position, text: string): void {
		const envelope = envelopeOf(follow.channel, text, deps.report);
		const entry: Entry = envelope === undefined ? { position, prev } : { position, prev, envelope };
		follow.handed += 1;
		guarded(() => follow.subscriber.entry(entry));
		const { heard } = follow;
		if (heard?.epoch !== position.epoch || heard.offset < position.offset) follow.heard = position;
	}

	async function recheckSome(partition: number, follows: readonly Follow[]): Promise<void> {
		const handed = follows.map((follow) => follow.handed);
		const ends = await deps.lookUp(
			partition,
			follows.map(({ channel }) => channel),
		);
		for (const [index, follow] of follows.entries()) {
			const isCurrent = byPartition.get(partition)?.get(follow.channel.key) === follow;
			// What was handed over since names the entry before it: a hole shows by itself.
			if (!isCurrent || follow.handed !== handed[index]) continue;
			guarded(() => follow.subscriber.suspect(ends[index]));
		}
	}

	return {
		add(partition, channel, subscriber) {
			const follows = byPartition.get(partition) ?? new Map<string, Follow>();
			if (follows.has(channel.key)) {
				throw new FanoutError("Unsupported", "a channel has one live subscription; the engine shares it");
			}
			const follow: Follow = { channel, subscriber, handed: 0, heard: undefined, known: undefined };
			byPartition.set(partition, follows.set(channel.key, follow));
			return () => {
				if (follows.get(channel.key) !== follow) return;
				follows.delete(channel.key);
				if (follows.size === 0 && byPartition.get(partition) === follows) byPartition.delete(partition);
			};
		},
		has: (partition) => byPartition.has(partition),
		heard(partition, text) {
			const keyEnd = text.indexOf("\n");
			const headEnd = text.indexOf("\n", keyEnd + 1);
			const head = headEnd < 0 ? null : HEAD.exec(text.slice(keyEnd + 1, headEnd));
			if (head === null) {
				deps.report(new FanoutError("InvalidEnvelope", "what was published to a partition cannot be read"));
				return;
			}
			const epoch = head[1] as string;
			const first = Number(head[2]);
			const last = Number(head[3]);
			deps.saw(partition, epoch, last);
			let run = runs.get(partition);
			if (run === undefined) {
				run = new Run();
				runs.set(partition, run);
			}
			run.heard(epoch, first, last);
			const follow = byPartition.get(partition)?.get(text.slice(0, keyEnd));
			if (follow === undefined) return;
			const rest = text.slice(headEnd + 1);
			let prev: Position = { epoch, offset: Number(head[4]) };
			let offset = first;
			for (const each of first === last ? [rest] : rest.split("\n")) {
				const position = { epoch, offset };
				hand(follow, position, prev, each);
				prev = position;
				offset += 1;
			}
		},
		learn(partition, channel, tip, end) {
			const follow = byPartition.get(partition)?.get(channel.key);
			if (follow !== undefined) follow.known = { tip, end, atMs: deps.monotonic() };
		},
		vouched(partition, channel, tip) {
			const { known, heard } = byPartition.get(partition)?.get(channel.key) ?? {};
			if (known === undefined || known.tip.epoch !== tip.epoch) return undefined;
			if (deps.monotonic() - known.atMs >= deps.renewMs) return undefined;
			const { epoch, offset } = known.tip;
			if (offset < tip.offset && runs.get(partition)?.spans(epoch, offset, tip.offset) !== true) return undefined;
			const isNewer = heard?.epoch === epoch && heard.offset > offset;
			return isNewer ? heard : known.end;
		},
		async recheck(partitions) {
			const asking: Promise<void>[] = [];
			for (const partition of partitions) {
				const follows = [...(byPartition.get(partition)?.values() ?? [])];
				// One script at a time tells its answer at once: a later end must not be told before an earlier one.
				for (let at = 0; at < follows.length; at += ENDS_CHANNELS) {
					asking.push(recheckSome(partition, follows.slice(at, at + ENDS_CHANNELS)));
				}
			}
			await Promise.all(asking);
		},
		clear: () => byPartition.clear(),
	};
}
