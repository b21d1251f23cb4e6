/**
 * Whether a lane holds ids that it may have forgotten (its `dedupMs` is over): read in the log itself. An envelope that
 * may have been taken and is offered again after that would stand there twice.
 */
import type { Channel } from "../core/channel.ts";
import type { Envelope } from "../core/envelope.ts";
import { FanoutError } from "../core/errors.ts";
import type { Ask, Transport } from "../core/transport.ts";

/** How far a log's clock may be behind the publisher's. */
const CLOCK_SKEW_MS = 60_000;
const PAGE = 500;
const MAX_LOOKUP_PAGES = 200;

/** The number of leading envelopes that are there: what stands in front of one that the log holds was taken before it. */
export async function leadingHeld(
	transport: Transport,
	channel: Channel,
	offered: readonly Envelope[],
	signal: AbortSignal,
): Promise<number> {
	const places = new Map(offered.map(({ id }, index) => [id, index]));
	const oldest = offered.reduce((least, { publishedAt }) => Math.min(least, publishedAt), Number.POSITIVE_INFINITY);
	let from: Ask["from"] = { sinceMs: Math.max(0, oldest - CLOCK_SKEW_MS) };
	let held = 0;
	for (let pages = 0; pages < MAX_LOOKUP_PAGES; pages += 1) {
		let more = false;
		for await (const page of transport.read([{ channel, from, limit: PAGE }], signal)) {
			for (const { envelope } of page.entries) {
				const place = envelope === undefined ? undefined : places.get(envelope.id);
				if (place !== undefined) held = Math.max(held, place + 1);
			}
			const last = page.entries.at(-1);
			more = page.more && last !== undefined;
			if (last !== undefined) from = last.position;
		}
		if (!more || held === offered.length) return held;
	}
	throw new FanoutError(
		"TransportUnavailable",
		`an id was not found in ${MAX_LOOKUP_PAGES} pages of ${transport.place}`,
		{
			retryable: true,
			data: { pages: MAX_LOOKUP_PAGES, entries: MAX_LOOKUP_PAGES * PAGE },
		},
	);
}
