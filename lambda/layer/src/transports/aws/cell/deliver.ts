/**
 * Deliver: from a region's mailbox to its log, then to who follows. Per group, in order: all rows first, then one
 * consistent read of the connections, then the posts; a client that subscribes in between finds the rows in the log.
 * Until the connections are read, any failure puts the whole group back, soon and in order; after it, none does.
 * All of it ends with the invocation's round: a function that timed out would hide every group for minutes.
 * What cannot be decoded is copied to the error queue, leaves a gap row, and its group goes on.
 */
import { parseChannel } from "../../../core/channel.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { decodeEnvelope } from "../../../core/envelope.ts";
import { isFanoutError } from "../../../core/errors.ts";
import { deriveId } from "../../../core/ids.ts";
import type { Log, LogItem } from "../log.ts";
import { encodeEntries } from "../wire.ts";
import type { Connections, Follower } from "./connections.ts";
import { type ForwardPorts, forward, homeElsewhere } from "./forward.ts";
import { groupOf, mailboxMessage } from "./mailbox.ts";
import { endConnection, forEachBounded, POST_CONCURRENCY, type PostPorts, postFrames } from "./poster.ts";
import { shuffled } from "./round.ts";

/** Largest envelope that enters a log; publishers are held to it, so that one always fits a frame. */
export const MAX_ENVELOPE_BYTES = 120 * 1024;
export const MAX_BACKOFF_SECONDS = 60;
/** Receives, some minutes, after which a message goes on without its copy in the error queue. */
export const KEEP_ERROR_RECEIVES = 10;
/** How long putting a group back may take, out of the round's margin. */
const POSTPONE_TIMEOUT_MS = 2_000;

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
	/** Followers that the round had no time for, or that were throttled with the others. */
	readonly unposted: number;
	/** Undecodable messages that the error queue would not take. */
	readonly uncopied: number;
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
	unposted: number;
	uncopied: number;
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

/** An error queue that is full, gone or closed to this function delays a group, and does not hold it for ever. */
async function keepCopy(ports: DeliverPorts, record: MailRecord, code: string, tally: Tally): Promise<void> {
	try {
		await ports.keepError(record, code);
	} catch (error) {
		if (record.receives < KEEP_ERROR_RECEIVES) throw error;
		tally.uncopied += 1;
		const cause = error instanceof Error ? error.name : "unknown";
		ports.report("message was lost without a copy", {
			message: record.messageId,
			bytes: bytesOf(record),
			error: cause,
		});
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
): Promise<Prepared | undefined> {
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
		await keepCopy(ports, record, read.code, tally);
		const channel = channelOfAttribute(record);
		if (channel === undefined) continue;
		key = channel;
		items.push({ id: deriveId("undecodable", record.messageId) });
	}
	if (key === undefined) return undefined;
	const rows = await ports.log.append(key, items);
	for (const row of rows) tally[row.appended ? "appended" : "repeated"] += 1;
	return { frames: encodeEntries(key, rows), followers: await ports.connections.of(key) };
}

/**
 * Ends with the round, served or not: the rows are in the log, where those left out find them (`prev`, ends), and
 * a batch that came again would post to the same stuck connections first. Hence also the order of chance.
 */
async function postGroup(ports: DeliverPorts, { frames, followers }: Prepared, tally: Tally): Promise<void> {
	const before = tally.unposted;
	await forEachBounded(shuffled(followers, ports.random), POST_CONCURRENCY, async (follower) => {
		if (ports.round.left() <= 0) tally.unposted += 1;
		else if (follower.isExpired) {
			tally.ended += 1;
			await endConnection(ports, follower, "expired");
		} else {
			const result = await postFrames(ports, follower, frames);
			if (result === "posted") tally.posts += frames.length;
			else if (result !== "gone") tally[result] += 1;
		}
	});
	const unposted = tally.unposted - before;
	if (unposted > 0) ports.report("followers were not posted to", { unposted, followers: followers.length });
}

/** Groups run in parallel and fail apart from each other. */
export async function deliver(ports: DeliverPorts, records: readonly MailRecord[]): Promise<Delivered> {
	const tally: Tally = {
		appended: 0,
		repeated: 0,
		undecodable: 0,
		forwarded: 0,
		posts: 0,
		ended: 0,
		unposted: 0,
		uncopied: 0,
	};
	const failed: string[] = [];
	const work = [...Map.groupBy(records, ({ group }) => group).values()].map(async (group) => {
		try {
			const prepared = await withDeadline(ports.clock, ports.round.left(), "appending a group", () =>
				prepareGroup(ports, group, tally),
			);
			if (prepared !== undefined) await postGroup(ports, prepared, tally);
		} catch (error) {
			failed.push(...group.map(({ messageId }) => messageId));
			const seconds = backoffSeconds(Math.max(...group.map(({ receives }) => receives)));
			const code = error instanceof Error ? error.name : "unknown";
			ports.report("group was put back", { group: group[0]?.group, messages: group.length, seconds, error: code });
			try {
				await withDeadline(ports.clock, POSTPONE_TIMEOUT_MS, "putting a group back", () =>
					ports.postpone(group, seconds),
				);
			} catch (cause) {
				// It then comes back after the queue's own, longer, visibility timeout.
				ports.report("group was not postponed", { error: cause instanceof Error ? cause.name : "unknown" });
			}
		}
	});
	await Promise.all(work);
	return { failed, ...tally };
}
