/**
 * Subscriptions: one core subscription for each followed channel. It heals with the connection, so after a reconnect
 * only the ends are asked for, once for all channels of a partition, and each subscriber is told its own.
 */
import type { Channel } from "../../core/channel.ts";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import type { Subscriber, Subscription, TransportEvent } from "../../core/transport.ts";
import type { Subscription as CoreSubscription, NatsConnection } from "./client.ts";
import type { Gate } from "./gate.ts";
import { createKnown, forget, type Known } from "./known.ts";
import type { Ledger } from "./ledger.ts";
import { handLive } from "./live.ts";
import type { Partition } from "./partition.ts";
import type { Subjects } from "./subjects.ts";

export interface Shard {
	readonly partition: Partition;
	readonly ledger: Ledger;
	readonly followed: Map<string, Known>;
	readonly gate: Gate;
	/** Hands over what was missed while there was no connection. */
	catchUp(): Promise<void>;
}

export interface FollowDeps {
	readonly nc: NatsConnection;
	readonly subjects: Subjects;
	readonly shards: readonly Shard[];
	/** Told that something in a partition does not fit. */
	doubt(shard: Shard): void;
	report(event: TransportEvent): void;
}

export interface Follow {
	subscribe(channel: Channel, subscriber: Subscriber): Subscription;
	/** Asks for the ends of all that is followed in a partition, and tells them. */
	heal(shard: Shard): Promise<void>;
	/** The partition's log is another one. */
	forget(shard: Shard): void;
	close(): void;
}

export function createFollow(deps: FollowDeps): Follow {
	const { nc, subjects, shards, report } = deps;
	const open = new Set<CoreSubscription>();

	function subscribe(channel: Channel, subscriber: Subscriber): Subscription {
		const address = subjects.of(channel);
		const shard = shards[address.partition] as Shard;
		if (shard.followed.has(channel.key)) {
			throw new FanoutError("Unsupported", "a channel has one live subscription; the engine shares it");
		}
		const known = createKnown(channel, subjects.hold(channel), subscriber);
		shard.followed.set(channel.key, known);
		const { partition, ledger } = shard;
		const live = { partition, heard: ledger.heard, doubt: () => deps.doubt(shard) };
		const core = nc.subscribe(address.live, {
			callback(error, msg) {
				try {
					if (error !== null) throw error;
					shard.gate.pass(msg.data.length, () => handLive(live, known, msg));
				} catch (cause) {
					report({ kind: "error", error: asFanoutError(cause, "TransportRefused", "a live entry was not taken") });
				}
			},
		});
		open.add(core);
		const asked = { key: channel.key, log: address.log };
		const ready = ledger.endsNow([asked]).then((ends) => {
			const end = ends.get(channel.key);
			if (end === undefined) throw new FanoutError("TransportRefused", "no end was given");
			return end;
		});
		ready.catch(() => {});
		return {
			ready,
			close() {
				if (!open.delete(core)) return;
				core.unsubscribe();
				if (shard.followed.get(channel.key) !== known) return;
				shard.followed.delete(channel.key);
				subjects.release(channel);
			},
		};
	}

	return {
		subscribe,
		async heal({ ledger, followed, gate, catchUp }) {
			const all = [...followed.values()];
			if (all.length === 0) return gate.open();
			await catchUp();
			gate.open();
			const ends = await ledger.endsNow(all.map(({ channel, address }) => ({ key: channel.key, log: address.log })));
			for (const known of all) {
				const end = ends.get(known.channel.key);
				if (end !== undefined && followed.get(known.channel.key) === known) known.subscriber.suspect(end);
			}
		},
		forget({ ledger, followed }) {
			ledger.heard.forget();
			for (const known of followed.values()) forget(known);
		},
		close() {
			for (const core of open) core.unsubscribe();
			open.clear();
			for (const { followed } of shards) followed.clear();
		},
	};
}
