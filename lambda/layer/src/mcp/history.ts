/**
 * What a channel's log holds of the last minutes, for a process that was not there. Complete means that the log was
 * read up to its authoritative end: a replica may answer before it has what was accepted, a log may have lost entries,
 * and there may be more than is worth reading. Then the answer is false, and the caller takes everything for changed.
 */
import type { Channel } from "../core/channel.ts";
import { type Clock, pause } from "../core/clock.ts";
import type { Envelope } from "../core/envelope.ts";
import { isAtOrBefore, type Position } from "../core/position.ts";
import type { Ask, Page, Transport } from "../core/transport.ts";

const PAGE = 500;
const MAX_PAGES = 10;
/** A replica that was behind is asked again, this many times in all. */
const TRIES = 3;
const STALE_MS = 250;

interface Question {
	readonly transport: Transport;
	readonly channel: Channel;
	readonly sinceMs: number;
	readonly clock: Clock;
	readonly signal: AbortSignal;
	see(envelope: Envelope): void;
}

type Found = "whole" | "lost" | "short";

export async function readHistory(question: Question): Promise<boolean> {
	const { transport, channel, clock, signal } = question;
	if (!transport.capabilities.replay) return false;
	const [end] = await transport.ends([channel], signal);
	if (end === undefined) return false;
	if (end.offset === 0) return true;
	for (let tries = 1; !signal.aborted; tries += 1) {
		let found = await readTo(end, question);
		if (found === "short") found = await lookAt(end, question, tries);
		if (found !== "short") return found === "whole";
		if (tries === TRIES) return false;
		await pause(clock, STALE_MS, signal);
	}
	return false;
}

async function readTo(end: Position, question: Question): Promise<Found> {
	const { channel, sinceMs, see } = question;
	let from: Ask["from"] = { sinceMs };
	for (let pages = 0; pages < MAX_PAGES; pages += 1) {
		const page = await readOne({ channel, from, limit: PAGE }, question);
		if (page === undefined || page.verdict !== "whole") return "lost";
		for (const { envelope } of page.entries) {
			// A place that cannot be decoded may have said anything.
			if (envelope === undefined) return "lost";
			see(envelope);
		}
		const last = page.entries.at(-1)?.position;
		if (last !== undefined && isAtOrBefore(end, last)) return "whole";
		if (!page.more || last === undefined) return "short";
		from = last;
	}
	return "lost";
}

/** Short of the end is right when what stands there is older than was asked for, or when nothing does. */
async function lookAt(end: Position, question: Question, tries: number): Promise<Found> {
	const { channel, sinceMs } = question;
	const from = { epoch: end.epoch, offset: end.offset - 1 };
	const page = await readOne({ channel, from, limit: 1 }, question);
	if (page === undefined || page.verdict !== "whole") return "short";
	const newest = page.entries[0]?.envelope;
	if (newest !== undefined) return newest.publishedAt < sinceMs ? "whole" : "short";
	// Channels that share their offsets have an end without an entry; only a second look tells it from a stale one.
	const isShared = page.through !== undefined && isAtOrBefore(end, page.through);
	return isShared && tries > 1 ? "whole" : "short";
}

async function readOne(ask: Ask, { transport, signal }: Question): Promise<Page | undefined> {
	for await (const page of transport.read([ask], signal)) return page;
	return undefined;
}
