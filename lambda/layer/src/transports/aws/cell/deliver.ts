/**
 * Deliver: from a region's mailbox to its log, then to who follows. Per group, in order: all rows first, then one
 * consistent read of the connections, then a message to each shard that is followed in, and the posts to everyone else;
 * a client that subscribes in between finds the rows in the log. Until the shards have their messages, any failure puts
 * the whole group back, soon and in order; after it, none does. All of it ends with the invocation's round: a function
 * that timed out would hide every group for minutes.
 * What cannot be decoded is copied to the error queue, leaves a gap row, and its group goes on.
 */
import { parseChannel } from "../../../core/channel.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { decodeEnvelope } from "../../../core/envelope.ts";
import { FanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import type { Log, LogItem, LogRow } from "../log.ts";
import { encodeEntries } from "../wire.ts";
import type { Connections, Follower } from "./connections.ts";
import type { Detour } from "./detour.ts";
import {
	bytesOf,
	codeOf,
	type ErrorTally,
	type FailedMail,
	type FailedMailPorts,
	putBack,
	setAside,
} from "./failed-mail.ts";
import { type ForwardPorts, forward, homeElsewhere, mailOfRows } from "./forward.ts";
import { groupOf, MAX_SEND_COUNT, type MailboxMessage, mailboxMessage } from "./mailbox.ts";
import { type PostPorts, type PostTally, postAll } from "./poster.ts";
import { runsOf, shardMessage } from "./shard.ts";

/** Largest envelope that enters a log; publishers are held to it, so that one always fits a frame. */
export const MAX_ENVELOPE_BYTES = 120 * 1024;

export interface MailRecord extends FailedMail {
	/** Regions whose mailboxes it has been in. */
	readonly via: readonly string[];
}

export interface DeliverPorts extends PostPorts, FailedMailPorts {
	readonly log: Pick<Log, "append">;
	readonly connections: Pick<Connections, "of" | "remove">;
	readonly forward: ForwardPorts;
	readonly detour: Detour;
	/** At most ten messages to the shards queue; returns the indexes that were not taken. */
	sendShards(messages: readonly MailboxMessage[]): Promise<readonly number[]>;
}

interface Tally extends PostTally, ErrorTally {
	appended: number;
	repeated: number;
	forwarded: number;
	/** Messages whose home is lost, kept to be sent on later. */
	detoured: number;
	/** Messages to shards. */
	sharded: number;
}

export interface Delivered extends Readonly<Tally> {
	readonly failed: readonly string[];
}

function readRecord(record: MailRecord): { key: string; item: LogItem } | { code: string } {
	if (bytesOf(record) > MAX_ENVELOPE_BYTES) return { code: "PayloadTooLarge" };
	try {
		const { channel, id } = decodeEnvelope(record.body);
		// A group carries one channel: what claims another would enter that channel's log out of its order.
		if (groupOf(channel.key) !== record.group) return { code: "InvalidChannel" };
		return { key: channel.key, item: { id, text: record.body } };
	} catch (error) {
		return { code: codeOf(error, "InvalidEnvelope") };
	}
}

/** The channel that the attribute names, if it is the group's: for a message whose envelope cannot be read, too. */
function channelOfAttribute(record: MailRecord): string | undefined {
	try {
		const { key } = parseChannel(record.channel);
		return groupOf(key) === record.group ? key : undefined;
	} catch {
		return undefined; // no channel to leave a gap in, nor a session to follow: a copy in the error queue remains
	}
}

/** Sends on what belongs to another region; returns what stays. */
async function forwardGroup(
	ports: DeliverPorts,
	records: readonly MailRecord[],
	tally: Tally,
	signal: AbortSignal,
): Promise<readonly MailRecord[]> {
	const key = records.map(channelOfAttribute).find((channel) => channel !== undefined);
	const target = key === undefined ? undefined : await homeElsewhere(ports.forward, key);
	if (key === undefined || target === undefined) return records;
	const { region } = ports.forward;
	// What is too large to be an envelope is dealt with here: no mailbox might take it again.
	const moving = records.filter((record) => bytesOf(record) <= MAX_ENVELOPE_BYTES);
	if (moving.length === 0) return records;
	const messages = moving.map((record) => {
		const read = readRecord(record);
		const id = "item" in read ? read.item.id : deriveId("undecodable", record.messageId);
		const via = [...record.via, region];
		// The session came back: a mailbox that has had this id would drop it silently, and its log knows the envelope's.
		const isBack = record.via.includes(target);
		return mailboxMessage(key, isBack ? deriveId("moved", via.join(), id) : id, record.body, via);
	});
	tally[await sendOn(ports, target, messages, moving, signal)] += moving.length;
	return records.filter((record) => !moving.includes(record));
}

/** A region that is not reached for minutes is waited for elsewhere: the mailbox is everybody's. */
async function sendOn(
	{ forward: ports, detour }: DeliverPorts,
	region: string,
	messages: readonly MailboxMessage[],
	records: readonly MailRecord[],
	signal: AbortSignal,
): Promise<"forwarded" | "detoured"> {
	if (!detour.isLost(region)) {
		try {
			await forward(ports, region, messages, signal);
			detour.reached(region);
			return "forwarded";
		} catch (error) {
			// Its group has been put back by then.
			if (signal.aborted) throw error;
			if (!detour.missed(region, Math.max(...records.map(({ receives }) => receives)))) throw error;
		}
	}
	await detour.take(messages);
	return "detoured";
}

/** Run by run, each in every shard before the next: what a shard is sent, it is sent in order. */
async function sendShards(
	ports: DeliverPorts,
	channel: string,
	shards: readonly number[],
	rows: readonly LogRow[],
	tally: Tally,
): Promise<void> {
	for (const run of runsOf(shards.length === 0 ? [] : rows)) {
		const messages = shards.map((shard) => shardMessage({ channel, shard, ...run }));
		for (let at = 0; at < messages.length; at += MAX_SEND_COUNT) {
			const part = messages.slice(at, at + MAX_SEND_COUNT);
			const refused = await ports.sendShards(part);
			tally.sharded += part.length - refused.length;
			if (refused.length === 0) continue;
			const message = `the shards queue refused ${refused.length} messages`;
			throw new FanoutError("TransportRefused", message, { retryable: true });
		}
	}
}

interface Prepared {
	readonly frames: readonly string[];
	readonly followers: readonly Follower[];
}

/** Everything before the posts; a failure puts the group back. */
async function prepareGroup(
	ports: DeliverPorts,
	group: readonly MailRecord[],
	tally: Tally,
	signal: AbortSignal,
): Promise<Prepared | undefined> {
	const records = await forwardGroup(ports, group, tally, signal);
	const items: LogItem[] = [];
	let key: string | undefined;
	for (const record of records) {
		const read = readRecord(record);
		if ("item" in read) {
			key = read.key;
			items.push(read.item);
			continue;
		}
		await setAside(ports, record, read.code, tally);
		const channel = channelOfAttribute(record);
		if (channel === undefined) continue;
		key = channel;
		items.push({ id: deriveId("undecodable", record.messageId) });
	}
	if (key === undefined) return undefined;
	// What went on in a container that thaws later would append behind the same batch, which has come again by then.
	const rows = await ports.log.append(key, items, signal);
	for (const row of rows) tally[row.appended ? "appended" : "repeated"] += 1;
	const [{ followers, shards }, target] = await Promise.all([
		ports.connections.of(key),
		homeElsewhere(ports.forward, key),
	]);
	// It moved while they were appended: sync takes along what it found in the log, perhaps before these.
	if (target !== undefined) {
		const moving = mailOfRows(ports.forward.region, key, rows);
		await forward(ports.forward, target, moving, signal);
		tally.forwarded += moving.length;
	}
	await sendShards(ports, key, shards, rows, tally);
	return { frames: encodeEntries(key, rows), followers };
}

/** Groups run in parallel and fail apart from each other. */
export async function deliver(ports: DeliverPorts, records: readonly MailRecord[]): Promise<Delivered> {
	const tally = {
		appended: 0,
		repeated: 0,
		undecodable: 0,
		forwarded: 0,
		detoured: 0,
		posts: 0,
		ended: 0,
		unposted: 0,
		uncopied: 0,
		sharded: 0,
	};
	const failed: string[] = [];
	const work = [...Map.groupBy(records, ({ group }) => group).values()].map(async (group) => {
		try {
			const prepared = await withDeadline(ports.clock, ports.round.left(), "appending a group", (signal) =>
				prepareGroup(ports, group, tally, signal),
			);
			if (prepared !== undefined) await postAll(ports, prepared.frames, prepared.followers, tally);
		} catch (error) {
			failed.push(...group.map(({ messageId }) => messageId));
			await putBack(ports, group, error);
		}
	});
	await Promise.all(work);
	return { failed, ...tally };
}
