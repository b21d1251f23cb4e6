/**
 * Deliver: from a region's mailbox to its log, then to who follows. Per group, in order: all rows first, then one
 * consistent read of the connections, then the posts; a client that subscribes in between finds the rows in the log.
 * Until the connections are read, any failure puts the whole group back, soon and in order; after it, none does.
 * What cannot be decoded is copied to the error queue, leaves a gap row, and its group goes on.
 */
import { parseChannel } from "../../../core/channel.ts";
import { decodeEnvelope } from "../../../core/envelope.ts";
import { isFanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import type { Log, LogItem } from "../log.ts";
import { encodeEntries } from "../wire.ts";
import type { Connections } from "./connections.ts";
import { type ForwardPorts, forward, homeElsewhere } from "./forward.ts";
import { groupOf, mailboxMessage } from "./mailbox.ts";
import { endConnection, forEachBounded, POST_CONCURRENCY, type PostPorts, postFrames } from "./poster.ts";

/** Largest envelope that enters a log; publishers are held to it, so that one always fits a frame. */
export const MAX_ENVELOPE_BYTES = 120 * 1024;
export const MAX_BACKOFF_SECONDS = 60;

export interface MailRecord {
	readonly messageId: string;
	readonly body: string;
	readonly group: string;
	/** The `channel` attribute. */
	readonly channel: string | undefined;
	/** Regions whose mailboxes it has been in. */
	readonly via: readonly string[];
	readonly receipt: string;
	readonly receives: number;
}

export interface DeliverPorts extends PostPorts {
	readonly log: Pick<Log, "append">;
	readonly connections: Pick<Connections, "of" | "remove">;
	readonly forward: ForwardPorts;
	/** Keeps a copy of a message that cannot be decoded. */
	keepError(record: MailRecord, code: string): Promise<void>;
	/** Shows the messages again after so many seconds. */
	postpone(records: readonly MailRecord[], seconds: number): Promise<void>;
}

export interface Delivered {
	readonly failed: readonly string[];
	readonly appended: number;
	readonly repeated: number;
	readonly undecodable: number;
	readonly forwarded: number;
	readonly posts: number;
	readonly ended: number;
}

/** 1, 2, 4 … 60 s. */
export function backoffSeconds(receives: number): number {
	return Math.min(MAX_BACKOFF_SECONDS, 2 ** Math.min(Math.max(receives - 1, 0), 10));
}

const bytesOf = ({ body }: MailRecord): number => Buffer.byteLength(body);

function readRecord(record: MailRecord): { key: string; item: LogItem } | { code: string } {
	if (bytesOf(record) > MAX_ENVELOPE_BYTES) return { code: "PayloadTooLarge" };
	try {
		const { channel, id } = decodeEnvelope(record.body);
		// A group carries one channel: what claims another would enter that channel's log out of its order.
		if (groupOf(channel.key) !== record.group) return { code: "InvalidChannel" };
		return { key: channel.key, item: { id, text: record.body } };
	} catch (error) {
		return { code: isFanoutError(error) ? error.code : "InvalidEnvelope" };
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

interface Tally {
	appended: number;
	repeated: number;
	undecodable: number;
	forwarded: number;
	posts: number;
	ended: number;
}

/** Sends on what belongs to another region; returns what stays. */
async function forwardGroup(ports: DeliverPorts, records: readonly MailRecord[], tally: Tally) {
	const key = records.map(channelOfAttribute).find((channel) => channel !== undefined);
	const target = key === undefined ? undefined : await homeElsewhere(ports.forward, key);
	if (key === undefined || target === undefined) return records;
	const { region } = ports.forward;
	// What is too large to be an envelope is dealt with here: no mailbox might take it again.
	const moving = records.filter((record) => !record.via.includes(target) && bytesOf(record) <= MAX_ENVELOPE_BYTES);
	const messages = moving.map((record) => {
		const read = readRecord(record);
		const id = "item" in read ? read.item.id : deriveId("undecodable", record.messageId);
		return mailboxMessage(key, id, record.body, [...record.via, region]);
	});
	await forward(ports.forward, target, messages);
	tally.forwarded += moving.length;
	return records.filter((record) => !moving.includes(record));
}

async function deliverGroup(ports: DeliverPorts, group: readonly MailRecord[], tally: Tally): Promise<void> {
	const records = await forwardGroup(ports, group, tally);
	const items: LogItem[] = [];
	let key: string | undefined;
	for (const record of records) {
		const read = readRecord(record);
		if ("item" in read) {
			key = read.key;
			items.push(read.item);
			continue;
		}
		tally.undecodable += 1;
		ports.report("message cannot be decoded", { message: record.messageId, code: read.code });
		await ports.keepError(record, read.code);
		const channel = channelOfAttribute(record);
		if (channel === undefined) continue;
		key = channel;
		items.push({ id: deriveId("undecodable", record.messageId) });
	}
	if (key !== undefined) await deliverItems(ports, key, items, tally);
}

async function deliverItems(ports: DeliverPorts, channelKey: string, items: readonly LogItem[], tally: Tally) {
	const rows = await ports.log.append(channelKey, items);
	for (const row of rows) tally[row.appended ? "appended" : "repeated"] += 1;
	const followers = await ports.connections.of(channelKey);
	const frames = encodeEntries(channelKey, rows);
	await forEachBounded(followers, POST_CONCURRENCY, async (follower) => {
		if (follower.isExpired) {
			tally.ended += 1;
			return endConnection(ports, follower, "expired");
		}
		const result = await postFrames(ports, follower, frames);
		if (result === "posted") tally.posts += frames.length;
		else if (result === "ended") tally.ended += 1;
	});
}

/** Groups run in parallel and fail apart from each other. */
export async function deliver(ports: DeliverPorts, records: readonly MailRecord[]): Promise<Delivered> {
	const tally: Tally = { appended: 0, repeated: 0, undecodable: 0, forwarded: 0, posts: 0, ended: 0 };
	const failed: string[] = [];
	const work = [...Map.groupBy(records, ({ group }) => group).values()].map(async (group) => {
		try {
			await deliverGroup(ports, group, tally);
		} catch (error) {
			failed.push(...group.map(({ messageId }) => messageId));
			const seconds = backoffSeconds(Math.max(...group.map(({ receives }) => receives)));
			const code = error instanceof Error ? error.name : "unknown";
			ports.report("group was put back", { group: group[0]?.group, messages: group.length, seconds, error: code });
			try {
				await ports.postpone(group, seconds);
			} catch (cause) {
				// It then comes back after the queue's own, longer, visibility timeout.
				ports.report("group was not postponed", { error: cause instanceof Error ? cause.name : "unknown" });
			}
		}
	});
	await Promise.all(work);
	return { failed, ...tally };
}
