/**
 * What this process knows of one followed channel. `last` is its newest entry, or, when it was empty, the partition's
 * end at that time, so that what comes later and is gone again shows as a loss; then it was empty after `since`, where the
 * partition began, and else `since` is `last`. Up to `verified` nothing comes after `last`: so a quiet channel stays whole
 * even when its own last entry expires, and the next one names no predecessor.
 */
import type { Channel } from "../../core/channel.ts";
import type { Subscriber } from "../../core/transport.ts";
import type { Address } from "./subjects.ts";

interface Quiet {
	readonly last: number;
	readonly verified: number;
}

export interface Known {
	readonly channel: Channel;
	readonly address: Address;
	readonly subscriber: Subscriber;
	/** False until the leader was asked in this epoch. */
	ready: boolean;
	since: number;
	last: number;
	verified: number;
	/** The same before `last` moved. */
	before: Quiet;
	/** The newest that came as a live copy: another one that is not newer is odd. */
	heard: number;
	heardAtCheck: number;
}

const NOTHING: Quiet = { last: 0, verified: 0 };
const FRESH = { ready: false, since: 0, last: 0, verified: 0, before: NOTHING, heard: 0, heardAtCheck: 0 };

export function createKnown(channel: Channel, address: Address, subscriber: Subscriber): Known {
	return { channel, address, subscriber, ...FRESH };
}

/** The log has another epoch: nothing of this holds. */
export function forget(known: Known): void {
	Object.assign(known, FRESH);
}

/** The channel's newest is at least this one; or it had nothing after `since` when the partition's end was here. */
export function saw(known: Known, seq: number, since = seq): void {
	if (seq <= known.last) return;
	known.before = { last: known.last, verified: known.verified };
	known.since = since;
	known.last = seq;
	if (seq > known.verified) known.verified = seq;
}

/** How far nothing comes after `position`, as far as this process knows. */
export function quietUntil(known: Known | undefined, position: number): number {
	if (known?.ready !== true) return position;
	if (known.last === position) return known.verified;
	return known.before.last === position ? Math.max(position, known.before.verified) : position;
}

/** Whether this is a place in a channel that was empty, before the end that it opened with here. */
export function isBeforeFloor(known: Known | undefined, position: number): known is Known {
	return known?.ready === true && known.since <= position && position < known.last;
}

/** Heard of since the last check, which this one then is. */
export function isFresh(known: Known): boolean {
	if (known.heard === known.heardAtCheck) return false;
	known.heardAtCheck = known.heard;
	return known.heard === known.last;
}

/** Up to here nothing comes after the `last` of any of them; `most` where there is none. */
export function verifiedOfAll(all: Iterable<Known>, most: number): number {
	let least = most;
	for (const { ready, verified } of all) least = Math.min(least, ready ? verified : 0);
	return least;
}
