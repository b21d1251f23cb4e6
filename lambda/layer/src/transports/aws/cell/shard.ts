/**
 * A shard: the end clients of one broadcast channel (a topic, or `all`) whose connection ids fall into one of SHARDS
 * parts. Their rows are one partition, their posts one message group of the shards queue, apart from the mailbox: an
 * audience of any size holds up nobody else. A message names rows of the log, at most a frame of them, and carries none.
 */
import { createHash } from "node:crypto";
import { parseChannel } from "../../../core/channel.ts";
import { FanoutError } from "../../../core/errors.ts";
import { formatPosition, type Position, parsePosition } from "../../../core/position.ts";
import { MAX_SERVER_FRAME_BYTES, type WireEntry } from "../wire.ts";
import type { Api } from "./connections.ts";
import { groupOf, type MailboxMessage, mailboxMessage } from "./mailbox.ts";

/** A broadcast costs a message for each that somebody follows in; one that a worker cannot finish in time is too large. */
export const SHARDS = 16;
const VERSION = 1;
/** What a row adds to its envelope in a frame, at most. */
const ENTRY_OVERHEAD_BYTES = 120;

export interface ShardMail {
	readonly channel: string;
	readonly shard: number;
	/** Rows after it … */
	readonly from: Position;
	/** … up to and including it, in one epoch. */
	readonly to: Position;
}

export type Run = Pick<ShardMail, "from" | "to">;

/** Back ends are few and serve many: they are posted to inline, and so are the clients of one session or principal. */
export function isSharded(api: Api, channelKey: string): boolean {
	if (api === "backend") return false;
	const { kind } = parseChannel(channelKey);
	return kind === "topic" || kind === "all";
}

export function shardOf(connectionId: string): number {
	return createHash("sha256").update(connectionId).digest().readUInt32BE() % SHARDS;
}

/** The partition of its rows; its hash is the message group. */
export const shardKeyOf = (channelKey: string, shard: number): string => `shard#${shard}#${channelKey}`;

export const entryBytes = ({ text = "" }: WireEntry): number => Buffer.byteLength(text) + ENTRY_OVERHEAD_BYTES;

/** Rows without holes that fit a frame, in the log's order: each run is one post to each follower. */
export function runsOf(rows: readonly WireEntry[]): Run[] {
	const runs: Run[] = [];
	let room = 0;
	for (const row of rows.toSorted((a, b) => a.position.offset - b.position.offset)) {
		const last = runs.at(-1);
		room -= entryBytes(row);
		const goesOn = last?.to.epoch === row.prev.epoch && last.to.offset === row.prev.offset;
		if (last !== undefined && goesOn && room >= 0) runs[runs.length - 1] = { from: last.from, to: row.position };
		else {
			runs.push({ from: row.prev, to: row.position });
			room = MAX_SERVER_FRAME_BYTES - entryBytes(row);
		}
	}
	return runs;
}

/** The same id for the same run, so that a repeated delivery sends it once. */
export function shardMessage({ channel, shard, from, to }: ShardMail): MailboxMessage {
	const run = { from: formatPosition(from), to: formatPosition(to) };
	const body = JSON.stringify({ v: VERSION, channel, shard, ...run });
	const message = mailboxMessage(channel, `${run.from}-${to.offset}`, body);
	return { ...message, MessageGroupId: groupOf(shardKeyOf(channel, shard)) };
}

const invalid = (what: string, cause?: unknown) => new FanoutError("InvalidMessage", what, { cause });

/** Throws for what is no message of this release, or of another group. */
export function readShardMail(body: string, group: string): ShardMail {
	let fields: Record<string, unknown>;
	try {
		fields = Object(JSON.parse(body)) as Record<string, unknown>;
	} catch (cause) {
		throw invalid("a shard's message is JSON", cause);
	}
	const { v, shard } = fields;
	if (v !== VERSION) throw new FanoutError("UnknownEnvelopeVersion", "a shard's message of another version");
	if (typeof shard !== "number" || !Number.isInteger(shard) || shard < 0) throw invalid("shard is an integer from 0");
	const channel = parseChannel(fields.channel).key;
	if (groupOf(shardKeyOf(channel, shard)) !== group) throw invalid("a shard's message in another group");
	const [from, to] = [parsePosition(fields.from), parsePosition(fields.to)];
	return { channel, shard, from, to };
}
