/**
 * The shards queue's work: what deliver appended, posted to the end clients of one shard, in the log's order. A mark
 * says how far the shard was posted to: what comes again is passed over, and a worker that is behind takes what else
 * fits the frame. Rows are read before the connections, so whoever is not among those finds them under its end.
 * Until the connections are read a failure puts the message back, soon and in order; after it, none does.
 */
import { withDeadline } from "../../../core/deadline.ts";
import { isAtOrBefore, type Position } from "../../../core/position.ts";
import type { Log } from "../log.ts";
import { encodeEntries, MAX_SERVER_FRAME_BYTES, type WireEntry } from "../wire.ts";
import type { Connections, Follower } from "./connections.ts";
import { codeOf, type FailedMail, type FailedMailPorts, putBack, setAside } from "./failed-mail.ts";
import { type PostPorts, type PostTally, postAll } from "./poster.ts";
import { entryBytes, readShardMail, type ShardMail } from "./shard.ts";

/** Rows read for one message; a run is never more than a batch of the mailbox. */
const PAGE = 50;
/** How long keeping the mark may take, out of the round's margin. */
const MARK_TIMEOUT_MS = 1_000;

export interface ShardPorts extends PostPorts, FailedMailPorts {
	readonly log: Pick<Log, "rows">;
	readonly connections: Pick<Connections, "ofShard" | "posted" | "markPosted" | "remove">;
}

export interface ShardDelivered extends PostTally {
	readonly failed: readonly string[];
	/** Messages whose rows the shard had been posted before, or that the log keeps no longer. */
	readonly passed: number;
	readonly undecodable: number;
	readonly uncopied: number;
}

interface Due {
	readonly frames: readonly string[];
	readonly followers: readonly Follower[];
	readonly until: Position;
}

/** What the message names, and what came since as far as the frame has room: posts are what a shard is short of. */
function takeFrame(entries: readonly WireEntry[], to: Position): WireEntry[] {
	let room = MAX_SERVER_FRAME_BYTES;
	return entries.filter((entry) => {
		room -= entryBytes(entry);
		return room >= 0 || isAtOrBefore(entry.position, to);
	});
}

async function read(ports: ShardPorts, { channel, shard, from, to }: ShardMail): Promise<Due | undefined> {
	const { connections, log } = ports;
	const mark = await connections.posted(channel, shard);
	const start = mark !== undefined && isAtOrBefore(from, mark) ? mark : from;
	const entries = takeFrame((await log.rows(channel, start, PAGE)).entries, to);
	const until = entries.at(-1)?.position;
	// Posted before, or let go of by the log, which it tells whoever reads it.
	if (until === undefined) return undefined;
	return { frames: encodeEntries(channel, entries), followers: await connections.ofShard(channel, shard), until };
}

async function keepMark(ports: ShardPorts, { channel, shard }: ShardMail, until: Position): Promise<void> {
	try {
		await withDeadline(ports.clock, MARK_TIMEOUT_MS, "keeping a shard's mark", () =>
			ports.connections.markPosted(channel, shard, until),
		);
	} catch (error) {
		// What comes again is then posted again, and every client drops what it has.
		ports.report("mark was not kept", { shard, error: error instanceof Error ? error.name : "unknown" });
	}
}

/** In the queue's order; at the first that fails, it and all after it are put back. */
export async function deliverShards(ports: ShardPorts, records: readonly FailedMail[]): Promise<ShardDelivered> {
	const tally = { posts: 0, ended: 0, unposted: 0, passed: 0, undecodable: 0, uncopied: 0 };
	const prepare = async (record: FailedMail) => {
		let mail: ShardMail;
		try {
			mail = readShardMail(record.body, record.group);
		} catch (error) {
			await setAside(ports, record, codeOf(error, "InvalidMessage"), tally);
			return undefined;
		}
		const due = await read(ports, mail);
		if (due === undefined) tally.passed += 1;
		return due && { mail, due };
	};
	for (const [index, record] of records.entries()) {
		try {
			const work = await withDeadline(ports.clock, ports.round.left(), "reading a shard", () => prepare(record));
			if (work === undefined) continue;
			const { mail, due } = work;
			await postAll(ports, due.frames, due.followers, tally);
			if (due.followers.length > 0) await keepMark(ports, mail, due.until);
		} catch (error) {
			const left = records.slice(index);
			await putBack(ports, left, error);
			return { ...tally, failed: left.map(({ messageId }) => messageId) };
		}
	}
	return { ...tally, failed: [] };
}
