/**
 * What tests of deliver share: mailbox records, followers, and inboxes in place of connections. The world is asked for
 * at each call, since a suite starts it after its helpers are made.
 */
import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Channel } from "../../lambda/layer/src/core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../lambda/layer/src/core/envelope.ts";
import { BEGINNING } from "../../lambda/layer/src/core/position.ts";
import type { Entry } from "../../lambda/layer/src/core/transport.ts";
import {
	type Api,
	CONNECTION_SECONDS,
	type Connection,
} from "../../lambda/layer/src/transports/aws/cell/connections.ts";
import { type DeliverPorts, deliver, type MailRecord } from "../../lambda/layer/src/transports/aws/cell/deliver.ts";
import { createDetour } from "../../lambda/layer/src/transports/aws/cell/detour.ts";
import type { FailedMail } from "../../lambda/layer/src/transports/aws/cell/failed-mail.ts";
import { groupOf, type MailboxMessage } from "../../lambda/layer/src/transports/aws/cell/mailbox.ts";
import type { Poster } from "../../lambda/layer/src/transports/aws/cell/poster.ts";
import { createPostRound } from "../../lambda/layer/src/transports/aws/cell/round.ts";
import type { ShardPorts } from "../../lambda/layer/src/transports/aws/cell/shard-worker.ts";
import type { DynamoClient } from "../../lambda/layer/src/transports/aws/sdk.ts";
import { decodeServerFrame, type ServerFrame } from "../../lambda/layer/src/transports/aws/wire.ts";
import type { World } from "./aws-cell-world.ts";

export const named = (name: string) => Object.assign(new Error(name), { name });

/** What connections receive, and how they fail. */
export class Inboxes implements Poster {
	readonly frames = new Map<string, ServerFrame[]>();
	readonly closed: string[] = [];
	readonly failing = new Map<string, string>();

	async post({ id }: Connection, frame: string): Promise<void> {
		const name = this.failing.get(id);
		const isEnd = decodeServerFrame(frame).t === "end";
		if (name !== undefined && !(isEnd && name === "LimitExceededException")) throw named(name);
		this.frames.set(id, [...this.of(id), decodeServerFrame(frame)]);
	}

	async close({ id }: Connection): Promise<void> {
		this.closed.push(id);
	}

	of(id: string): ServerFrame[] {
		return this.frames.get(id) ?? [];
	}

	/** The envelopes that a client shows: positions that it has are dropped, and none may be missing. */
	shown(id: string): (string | undefined)[] {
		let last = 0;
		const shown: (string | undefined)[] = [];
		for (const frame of this.of(id)) {
			if (frame.t !== "entries") continue;
			for (const { position, prev, envelope } of frame.entries as Required<Entry>[]) {
				if (position.offset <= last) continue;
				expect(prev.offset).toBe(last);
				last = position.offset;
				shown.push(envelope?.id);
			}
		}
		return shown;
	}
}

/** What posts need beside connections: a round of a whole function's time, and short waits. */
export const postingOf = ({ clock }: Pick<World, "clock">) => ({
	random: () => 0.1,
	round: createPostRound(clock, 20_000),
});

export const recordOf = (channel: Channel, body: string, more: Partial<MailRecord> = {}): MailRecord => ({
	messageId: randomUUID(),
	body,
	group: groupOf(channel.key),
	channel: channel.key,
	via: [],
	receipt: "none",
	receives: 1,
	...more,
});
export const mail = (channel: Channel, envelopes: readonly Envelope[]) =>
	envelopes.map((envelope) => recordOf(channel, encodeEnvelope(envelope)));

export const shardRecord = (message: MailboxMessage, more: Partial<FailedMail> = {}): FailedMail => ({
	messageId: randomUUID(),
	body: message.MessageBody,
	group: message.MessageGroupId,
	channel: message.MessageAttributes.channel?.StringValue,
	receipt: "none",
	receives: 1,
	...more,
});

export function createMailroom(world: () => World) {
	function portsOf(poster: Poster, dynamo: DynamoClient = world().clients.dynamo()): DeliverPorts {
		const { keepError, postpone, sendShards } = world().queues;
		const { clock } = world();
		const connections = world().connections(dynamo);
		const forward = world().forward();
		const posting = { ...postingOf(world()), connections, poster, clock, report: () => {} };
		const detour = createDetour(clock, world().queues.sendLater);
		return { ...posting, log: world().log(dynamo), keepError, postpone, sendShards, forward, detour };
	}

	function shardPortsOf(poster: Poster, dynamo: DynamoClient = world().clients.dynamo()): ShardPorts {
		const { keepError, postponeShards: postpone } = world().queues;
		const { clock } = world();
		const posting = { ...postingOf(world()), connections: world().connections(dynamo), poster, clock };
		return { ...posting, log: world().log(dynamo), keepError, postpone, report: () => {} };
	}

	async function follow(channel: Channel, seconds = CONNECTION_SECONDS, api: Api = "backend"): Promise<string> {
		const id = randomUUID();
		const expiresAt = Math.floor(world().clock.now() / 1000) + seconds;
		await world().connections().open({ id, api });
		await world().connections().follow({ id, api, expiresAt }, [channel.key]);
		return id;
	}

	/** Delivers as the mailbox would be, and returns what went to shards instead of into their queue. */
	async function deliverTo(poster: Poster, records: readonly MailRecord[]) {
		const sent: MailboxMessage[] = [];
		const sendShards: DeliverPorts["sendShards"] = async (messages) => {
			sent.push(...messages);
			return [];
		};
		return { sent, tally: await deliver({ ...portsOf(poster), sendShards }, records) };
	}

	const rowsOf = async (channel: Channel) => (await world().log().rows(channel.key, BEGINNING, 100)).entries;
	const followers = async (channel: Channel) => (await world().followersOf(channel.key)).map(({ id }) => id);
	return { portsOf, shardPortsOf, follow, deliverTo, rowsOf, followers };
}
