/**
 * One channel at the client: gapless or told, in order, once. States:
 *
 *   waiting --subscribed, nothing missing--> live --hole, other epoch--> reading --the log's end seen--> live
 *   waiting --subscribed, behind--> reading --consumer full--> full --room--> reading;  any --connection lost--> waiting
 *
 * While it reads, live entries wait in a bounded stash; one that overflowed keeps only its newest entry, whose
 * missing predecessors are then a hole like any other.
 */
import { BEGINNING, isAtOrBefore, type Position, samePosition } from "../core/position.ts";
import type { Verdict, WireEntry } from "./frames.ts";

const MAX_STASH = 64;
/** Pages in a row that bring nothing of a hole, before it is told as a gap. */
const MAX_BARREN_PAGES = 3;

export type Missing = "gap" | "retention" | "epoch";

export interface LaneHost {
	/** False when the consumer has no room: the entry was not taken. */
	deliver(entry: WireEntry): boolean;
	/** Something before the next entry is missing. */
	missing(reason: Missing): void;
	/** Asks for the page after a position; `page` is called with the answer. */
	read(from: Position): void;
}

export interface Lane {
	/** After the last entry that was handed to the consumer's queue; undefined before the first subscription stood. */
	readonly seen: Position | undefined;
	/** The end as of now: after a new connection stood, or asked for again on one that stands. */
	subscribed(end: Position): void;
	/** The same of another region's log, in which what was seen has no place: that is told, and it goes on from the end. */
	subscribedElsewhere(end: Position): void;
	entries(entries: readonly WireEntry[]): void;
	page(page: { entries: readonly WireEntry[]; more: boolean; verdict: Verdict }): void;
	/** The consumer has room again. */
	room(): void;
	/** The connection is gone. */
	lost(): void;
}

export function createLane(from: Position | undefined, host: LaneHost): Lane {
	let seen = from;
	let state: "waiting" | "reading" | "full" | "live" = "waiting";
	/** The log's end as the last subscription stated it. */
	let end = BEGINNING;
	/** The same when the page was asked for that is on its way: it brings all up to there, and perhaps no more. */
	let due = BEGINNING;
	let stash: WireEntry[] = [];
	let barren = 0;

	const keep = (entry: WireEntry) => {
		if (stash.length >= MAX_STASH) stash = [];
		stash.push(entry);
	};
	const read = () => {
		state = "reading";
		due = end;
		host.read(seen ?? BEGINNING);
	};
	const take = (entry: WireEntry): boolean => {
		if (!host.deliver(entry)) {
			state = "full";
			return false;
		}
		seen = entry.position;
		barren = 0;
		return true;
	};
	const isBehind = ({ epoch, offset }: Position) => seen?.epoch === epoch && seen.offset < offset;
	const jump = (reason: Missing, to: Position) => {
		seen = to;
		barren = 0;
		host.missing(reason);
	};
	const judge = (entry: WireEntry) => {
		const last = seen ?? BEGINNING;
		if (isAtOrBefore(entry.position, last)) return;
		const continues = samePosition(entry.prev, last) || (samePosition(last, BEGINNING) && entry.prev.offset === 0);
		if (!continues && barren < MAX_BARREN_PAGES) {
			keep(entry);
			return read();
		}
		if (!continues) jump("gap", entry.prev);
		if (!take(entry)) keep(entry);
	};
	const settle = () => {
		state = "live";
		const waiting = stash;
		stash = [];
		for (const entry of waiting) {
			if (state === "live") judge(entry);
			else keep(entry);
		}
	};

	return {
		get seen() {
			return seen;
		},
		subscribed(now) {
			end = now;
			seen ??= now;
			if (state === "reading" || state === "full") return; // it is read up to this end
			if (state === "live" && isAtOrBefore(now, seen)) return; // what was posted meanwhile is newer
			if (samePosition(now, seen)) return settle();
			if (!samePosition(now, BEGINNING)) return read();
			jump("epoch", now); // there was a log, and there is none
			settle();
		},
		subscribedElsewhere(now) {
			end = now;
			jump("gap", now);
			settle();
		},
		entries(entries) {
			for (const entry of entries) {
				if (state === "live") judge(entry);
				else keep(entry);
			}
		},
		page({ entries, more, verdict }) {
			if (state !== "reading") return;
			const first = entries[0];
			barren += 1;
			if (verdict !== "whole") {
				host.missing(verdict);
				// Without an entry nothing says where the log goes on, except an end that is further on.
				if (first !== undefined) seen = first.prev;
				else if (!isAtOrBefore(due, seen ?? BEGINNING)) seen = due;
			}
			for (const entry of entries) {
				if (isAtOrBefore(entry.position, seen ?? BEGINNING)) continue;
				if (!take(entry)) return;
			}
			if (more) return read();
			// What was there when the page was asked for has been read: its absence is told, not waited for.
			if (isBehind(due)) jump("gap", due);
			if (isBehind(end)) return read();
			settle();
		},
		room() {
			if (state === "full") read();
		},
		lost() {
			state = "waiting";
			stash = [];
		},
	};
}
