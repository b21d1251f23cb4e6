/**
 * Sessions that came here from another region: their log there, read over that region's endpoint, to the seal that this
 * region put at its end. Only a log that ends with such a seal is whole, and only the seal says where the session goes on
 * here. A shared channel comes to every region's log, in an order of its own and when it comes: who had seen nothing of it
 * begins with the log here, and what anybody else has seen cannot be told apart from it.
 */
import type { Channel } from "../../core/channel.ts";
import { BEGINNING, isAtOrBefore, samePosition } from "../../core/position.ts";
import type { Ask, Page, Transport } from "../../core/transport.ts";
import { failureOf } from "./failure.ts";
import { inOrder } from "./in-order.ts";
import { type Log, TAIL_LIMIT } from "./log.ts";
import { decodeEntry } from "./log-row.ts";

/** What is published to them goes to every region. */
const SHARED: ReadonlySet<Channel["kind"]> = new Set(["topic", "principal", "all"]);

export const placeOf = (region: string): string => `aws/${region}`;

export interface PastParts {
	readonly region: string;
	readonly regions: readonly string[];
	readonly concurrency: number;
	logIn(region: string): Pick<Log, "tail" | "rows">;
}

export function createPast(parts: PastParts): NonNullable<Transport["past"]> {
	const others = new Map(
		parts.regions.filter((region) => region !== parts.region).map((region) => [placeOf(region), region]),
	);

	async function readIn(region: string, { channel, from, limit }: Ask, signal: AbortSignal): Promise<Page> {
		const nothing = { channel, entries: [], more: false, verdict: "whole" } as const;
		const isNew = "epoch" in from && samePosition(from, BEGINNING);
		if (SHARED.has(channel.kind)) return isNew ? { ...nothing, goesOn: BEGINNING } : nothing;
		const log = parts.logIn(region);
		const { end, ids, seal } = await log.tail(channel.key, TAIL_LIMIT, signal);
		if (seal === undefined || seal.to !== parts.region) return nothing;
		const { entries, verdict } = await log.rows(channel.key, from, limit, signal);
		const upTo = entries.findIndex(({ position }) => samePosition(position, end));
		// One that begins at the seal has nothing to come, either.
		const more = upTo < 0 && entries.length > 0;
		const shown = upTo < 0 ? entries : entries.slice(0, upTo);
		const before = ids.flatMap(([id, at]) => ("epoch" in from && isAtOrBefore(at, from) ? [id] : []));
		return { channel, entries: shown.map(decodeEntry), more, verdict, goesOn: seal.start, before };
	}

	return {
		places: ({ kind }: Channel) => (kind === "session" || SHARED.has(kind) ? [...others.keys()] : []),
		async *read(place, asks, signal) {
			const region = others.get(place);
			if (region === undefined) return;
			try {
				yield* inOrder(asks, parts.concurrency, (ask) => readIn(region, ask, signal));
			} catch (error) {
				throw failureOf(error, `a read of the log in ${region}`).error;
			}
		},
	};
}
