/**
 * One channel's log: a ring of dense offsets. `base` is the highest offset that is gone (0: nothing ever was), and
 * `baseAt` the time of the newest event that is gone, so that a reader is told `retention` exactly when something
 * after its position, or inside its window, is no longer here. Plain data and functions: there may be 100,000.
 */
import type { Channel } from "../../core/channel.ts";
import { type Envelope, type PackedEnvelope, unpackEnvelope } from "../../core/envelope.ts";
import { NO_EPOCH, type Position } from "../../core/position.ts";
import type { Ask, Entry, Outcome, Page, Subscriber, Verdict } from "../../core/transport.ts";

export interface Kept {
	readonly offset: number;
	readonly id: string;
	/** When it was accepted; never less than the one before, whatever the wall clock does. */
	readonly at: number;
	readonly bytes: number;
	/** Absent where what a store kept cannot be read: streams are told `gap` there. */
	readonly packed: PackedEnvelope | undefined;
}

/** One envelope of a batch: what its publisher is told, and where it is new, what the log keeps and hands over. */
export interface Taken {
	readonly outcome: Outcome;
	readonly fresh: { readonly kept: Kept; readonly entry: Entry & { readonly envelope: Envelope } } | undefined;
}

export interface Log {
	readonly channel: Channel;
	base: number;
	baseAt: number;
	kept: Kept[];
	/** Index of the oldest event in `kept`: dropping is cheap, and the array is compacted now and then. */
	head: number;
	/** Each id was greater than the one before, as ids that are made in order are: a greater one needs no looking up. */
	isAscending: boolean;
	/** By id; made when an id comes that may be here. */
	ids: Map<string, Kept> | undefined;
	/** The live subscription, and what waits behind the entry that it is being handed. */
	subscriber: Subscriber | undefined;
	waiting: readonly Taken[] | undefined;
	/** Neighbours by last use. */
	older: Log | undefined;
	newer: Log | undefined;
}

export function createLog(channel: Channel, base: number, baseAt: number): Log {
	return {
		channel,
		base,
		baseAt,
		kept: [],
		head: 0,
		isAscending: true,
		ids: undefined,
		subscriber: undefined,
		waiting: undefined,
		older: undefined,
		newer: undefined,
	};
}

export function countOf(log: Log): number {
	return log.kept.length - log.head;
}

export function endOf(log: Log): number {
	return log.base + countOf(log);
}

export function lastAtOf(log: Log): number {
	return countOf(log) === 0 ? log.baseAt : (log.kept.at(-1) as Kept).at;
}

export function endPosition(log: Log, epoch: string): Position {
	return { epoch, offset: endOf(log) };
}

function entryOf(log: Log, { offset, bytes, packed }: Kept, epoch: string): Entry {
	const position = { epoch, offset };
	return packed === undefined ? { position } : { position, envelope: unpackEnvelope(packed, log.channel, bytes) };
}

export function eventOf(log: Log, id: string): Kept | undefined {
	if (log.isAscending && id > (log.kept.at(-1)?.id ?? "")) return undefined;
	log.ids ??= new Map(log.kept.slice(log.head).map((event) => [event.id, event]));
	return log.ids.get(id);
}

export function append(log: Log, event: Kept): void {
	log.isAscending &&= event.id > (log.kept.at(-1)?.id ?? "");
	log.kept.push(event);
	log.ids?.set(event.id, event);
}

/** In the place of an event that was dropped until the array is compacted: its bytes are no longer counted. */
const GONE: Kept = { offset: 0, id: "", at: 0, bytes: 0, packed: undefined };

/** Drops the oldest event; gives its size. */
export function dropOldest(log: Log): number {
	const event = log.kept[log.head] as Kept;
	log.kept[log.head] = GONE;
	log.head += 1;
	log.base += 1;
	log.baseAt = event.at;
	log.ids?.delete(event.id);
	if (log.head === log.kept.length || (log.head >= 16 && log.head * 8 >= log.kept.length)) {
		log.kept = log.kept.slice(log.head);
		log.head = 0;
	}
	return event.bytes;
}

function firstSince(log: Log, sinceMs: number): number {
	let low = log.head;
	let high = log.kept.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		if ((log.kept[middle] as Kept).at < sinceMs) low = middle + 1;
		else high = middle;
	}
	return low;
}

function start(log: Log, from: Ask["from"], epoch: string): { index: number; verdict: Verdict } {
	const lossy = log.base > 0;
	if ("sinceMs" in from) {
		const verdict = lossy && log.baseAt >= from.sinceMs ? "retention" : "whole";
		return { index: firstSince(log, from.sinceMs), verdict };
	}
	const beginning = from.epoch === NO_EPOCH && from.offset === 0;
	if (beginning) return { index: log.head, verdict: lossy ? "retention" : "whole" };
	// A position after the end was given by a log that this one is not, whatever its epoch says.
	if (from.epoch !== epoch || from.offset > endOf(log)) return { index: log.head, verdict: "epoch" };
	if (from.offset < log.base) return { index: log.head, verdict: "retention" };
	return { index: log.head + (from.offset - log.base), verdict: "whole" };
}

/** Encoded bytes of a page, unless its first entry alone is more: a client stream that does not read holds a page. */
const PAGE_BYTES = 256 * 1024;

export function pageOf(log: Log, ask: Ask, epoch: string): Page {
	const { index, verdict } = start(log, ask.from, epoch);
	const limit = Math.max(1, Math.floor(ask.limit));
	const entries: Entry[] = [];
	let bytes = 0;
	for (const event of log.kept.slice(index, index + limit)) {
		bytes += event.bytes;
		if (entries.length > 0 && bytes > PAGE_BYTES) break;
		entries.push(entryOf(log, event, epoch));
	}
	return { channel: ask.channel, entries, more: index + entries.length < log.kept.length, verdict };
}
