/**
 * Pages out of the log: one Direct Get batch for each ask, beginning at the position's own entry, and one question to
 * the leader of each partition for epoch and bounds, all at once. Retention is invisible to a batch, so the verdict
 * comes from elsewhere: the own entry is still there; or this process verified that nothing followed it; or nothing
 * after it can be gone, neither by the partition's oldest message, as it is after the batch, nor by the channel's count.
 */
import type { Channel } from "../../core/channel.ts";
import { NO_EPOCH, type Position } from "../../core/position.ts";
import type { Ask, Entry, Page, Verdict } from "../../core/transport.ts";
import type { Batch, BatchGet, Fetched } from "./batch-get.ts";
import { isBeforeFloor, type Known, quietUntil, saw } from "./known.ts";
import type { Partition, Snapshot } from "./partition.ts";
import type { Address } from "./subjects.ts";
import { toEntry } from "./wire.ts";

/** Of each entry that is asked for, on average: a client stream that does not read holds its page. */
const ENTRY_BYTES = 2_560;

export interface ReadDeps {
	readonly partition: Partition;
	readonly batchGet: BatchGet;
	known(channel: Channel): Known | undefined;
}

export async function readPage(deps: ReadDeps, ask: Ask, { log }: Address): Promise<Page> {
	const limit = Math.max(1, Math.floor(ask.limit));
	const bounds = { batch: limit + 1, max_bytes: limit * ENTRY_BYTES };
	const get = (start: object, most: object = bounds) =>
		deps.batchGet(deps.partition.stream, { ...start, next_by_subj: log, ...most });
	const { from } = ask;
	if (!("offset" in from)) {
		const start = { start_time: new Date(from.sinceMs).toISOString() };
		const batch = await get(start);
		const snapshot = await deps.partition.inspect();
		const gone = snapshot.first > 1 && snapshot.firstMs > from.sinceMs;
		return page(deps, ask, snapshot, batch, limit, gone || full(deps, batch) ? "retention" : "whole", undefined);
	}
	const own = from.offset;
	const here = deps.known(ask.channel);
	// Streams of an empty channel come from wherever another instance's end was: nothing to look for, and no request.
	if (from.epoch === deps.partition.epoch && isBeforeFloor(here, own)) return nothing(deps, ask, here);
	// What is verified to be quiet needs no look: the server would go through all that others wrote meanwhile.
	const quiet = quietUntil(here, own);
	const start = quiet > own ? quiet + 1 : Math.max(1, own);
	const look = async (): Promise<Batch> => {
		const found = await get({ seq: start });
		// The server ends a batch with the message that fills it, and that may be the position's own.
		const isFull = found.messages.length === 1 && found.messages[0]?.seq === own && found.pending > 0;
		return isFull ? get({ seq: start }, { batch: 2 }) : found;
	};
	const [asked, batch] = await Promise.all([deps.partition.inspect(), look()]);
	const isThere = own > 0 && batch.messages[0]?.seq === own;
	// What went between the two answers would be missed: the bounds are to be those after the batch.
	const snapshot = isThere ? asked : await deps.partition.inspect();
	const beginning = from.epoch === NO_EPOCH && own === 0;
	// A position after the end was given by a log that this one is not, whatever its epoch says.
	if (!beginning && (from.epoch !== snapshot.epoch || own > snapshot.last)) {
		return page(deps, ask, snapshot, await get({ seq: 1 }), limit, "epoch", undefined);
	}
	return page(deps, ask, snapshot, batch, limit, isThere ? "whole" : judge(deps, quiet, snapshot, batch), own);
}

function nothing({ partition }: ReadDeps, { channel }: Ask, { last, verified }: Known): Page {
	const [quiet, through] = [partition.position(last), partition.position(verified)];
	return { channel, entries: [], more: false, verdict: "whole", through, quiet };
}

/** As many as a channel may have: there may have been more. */
function full({ partition }: ReadDeps, { messages, pending }: Batch): boolean {
	return messages.length + pending >= partition.limits.perChannel;
}

function judge(deps: ReadDeps, quiet: number, snapshot: Snapshot, batch: Batch): Verdict {
	if (snapshot.first > quiet + 1) return "retention";
	return full(deps, batch) ? "retention" : "whole";
}

function page(
	deps: ReadDeps,
	{ channel }: Ask,
	snapshot: Snapshot,
	batch: Batch,
	limit: number,
	verdict: Verdict,
	own: number | undefined,
): Page {
	const after = own === undefined ? batch.messages : batch.messages.filter(({ seq }) => seq > own);
	const kept = after.slice(0, limit);
	const whole = verdict === "whole" && own !== undefined;
	let prev = whole ? own : (kept[0]?.seq ?? 1) - 1;
	const entries = kept.map((message: Fetched): Entry => {
		const entry = toEntry(channel, snapshot.epoch, message.seq, prev, message.data);
		prev = message.seq;
		return entry;
	});
	const known = deps.known(channel);
	if (known?.ready && snapshot.epoch === deps.partition.epoch && kept.length > 0) saw(known, prev);
	const through: Position = { epoch: snapshot.epoch, offset: snapshot.last };
	return { channel, entries, more: after.length > kept.length || batch.pending > 0, verdict, through };
}
