/**
 * What a channel's log holds of the last minutes, for a process that was not there. Complete means that the log was
 * read up to its authoritative end: a replica may answer before it has what was accepted, a log may have lost entries,
 * and there may be more than is worth reading. Then the answer is false, and the caller takes everything for changed.
 */
import type { Channel } from "../core/channel.ts";
import type { Envelope } from "../core/envelope.ts";
import type { Ask, Page, Transport } from "../core/transport.ts";

const PAGE = 500;
const MAX_PAGES = 10;

async function readOne(transport: Transport, ask: Ask, signal: AbortSignal): Promise<Page | undefined> {
	for await (const page of transport.read([ask], signal)) return page;
	return undefined;
}

export async function readHistory(
	transport: Transport,
	channel: Channel,
	sinceMs: number,
	see: (envelope: Envelope) => void,
	signal: AbortSignal,
): Promise<boolean> {
	if (!transport.capabilities.replay) return false;
	const [bounds] = await transport.ends([channel], signal);
	if (bounds === undefined) return false;
	const { end } = bounds;
	if (end.offset === 0n) return true;
	let from: Ask["from"] = { sinceMs };
	for (let pages = 0; pages < MAX_PAGES; pages += 1) {
		const page = await readOne(transport, { channel, from, limit: PAGE }, signal);
		if (page === undefined || page.verdict !== "whole") return false;
		for (const { envelope } of page.entries) {
			// A place that cannot be decoded may have said anything.
			if (envelope === undefined) return false;
			see(envelope);
		}
		const last = page.entries.at(-1)?.position;
		if (last !== undefined && last.epoch === end.epoch && last.offset >= end.offset) return true;
		if (page.more && last !== undefined) {
			from = last;
			continue;
		}
		// Short of the end: right when the entry at the end is older than was asked for, and only then.
		const before = { epoch: end.epoch, offset: end.offset - 1n };
		const tail = await readOne(transport, { channel, from: before, limit: 1 }, signal);
		const newest = tail?.verdict === "whole" ? tail.entries[0]?.envelope : undefined;
		return newest !== undefined && newest.publishedAt < sinceMs;
	}
	return false;
}
