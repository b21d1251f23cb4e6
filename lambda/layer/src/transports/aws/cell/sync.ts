/**
 * Sync: the sessions table's stream in this region. When another region became a session's home, whoever follows the
 * session here is told `moved` and loses its rows, and what came here meanwhile is sent on. A record that makes no
 * sense is reported and passed over: one that was thrown on would hold up its shard for a day.
 */
import { parseChannel } from "../../../core/channel.ts";
import { withDeadline } from "../../../core/deadline.ts";
import { FanoutError } from "../../../core/errors.ts";
import type { Ask } from "../../../core/transport.ts";
import type { Log, RowPage } from "../log.ts";
import { encodeServerFrame } from "../wire.ts";
import type { Connections } from "./connections.ts";
import { type ForwardPorts, forward, mailOfRows } from "./forward.ts";
import { forEachBounded, POST_CONCURRENCY, type PostPorts, postFrames } from "./poster.ts";

const PAGE = 100;

export interface SyncRecord {
	readonly sequence: string;
	/** The new item's fields; undefined for a removed or unreadable one. */
	readonly session: string | undefined;
	readonly region: string | undefined;
	/** Of that region's claim. */
	readonly counter: number;
	/** When that region claimed the session, in milliseconds. */
	readonly at: number;
}

export interface SyncPorts extends PostPorts, ForwardPorts {
	readonly log: Pick<Log, "rows">;
	readonly connections: Pick<Connections, "of" | "unfollow" | "remove">;
}

/** Sends on what entered the log here after the session had moved, while that was not yet known here. */
async function forwardSince(
	ports: SyncPorts,
	session: string,
	target: string,
	at: number,
	signal: AbortSignal,
): Promise<void> {
	let from: Ask["from"] = { sinceMs: at };
	for (let more = true; more; ) {
		const page: RowPage = await ports.log.rows(session, from, PAGE);
		await forward(ports, target, mailOfRows(ports.region, session, page.entries), signal);
		more = page.more;
		from = page.entries.at(-1)?.position ?? from;
	}
}

async function evict(
	ports: SyncPorts,
	session: string,
	{ counter, at }: SyncRecord,
	signal: AbortSignal,
): Promise<number> {
	const home = await ports.home.look(session);
	if (home === undefined || home.region === ports.region) return 0;
	// It was here again since, and what came then was delivered: a later record tells of the move that took it away.
	if (home.ownCounter > counter) return 0;
	const target = home.region;
	if (Number.isFinite(at)) await forwardSince(ports, session, target, at, signal);
	const { followers } = await ports.connections.of(session);
	const frames = [encodeServerFrame({ t: "moved", channel: session })];
	let unposted = 0;
	await forEachBounded(followers, POST_CONCURRENCY, async (follower) => {
		// Told first: were its rows gone and the frame lost, it would wait here for what goes elsewhere.
		const result = await postFrames(ports, follower, frames);
		if (result === "posted") await ports.connections.unfollow(follower.id, [session]);
		else if (result === "unposted") unposted += 1;
	});
	if (unposted > 0) {
		throw new FanoutError("TransportUnavailable", `${unposted} followers could not be told of a move yet`, {
			retryable: true,
			data: { unposted },
		});
	}
	return followers.length;
}

function isSession(key: string): boolean {
	try {
		return parseChannel(key).kind === "session";
	} catch {
		return false; // its record is passed over and reported
	}
}

/** Evictions in the stream's order; the sequence of the first record that must come again, if one must. */
export async function sync(
	ports: SyncPorts,
	records: readonly SyncRecord[],
): Promise<{ readonly failed: string | undefined; readonly evicted: number }> {
	let evicted = 0;
	for (const record of records) {
		const { sequence, session, region } = record;
		if (session === undefined || region === undefined || !isSession(session)) {
			ports.report("stream record was passed over", { sequence });
			continue;
		}
		if (region === ports.region) continue;
		try {
			// A function that timed out would have done nothing of its batch.
			evicted += await withDeadline(ports.clock, ports.round.left(), "an eviction", (signal) =>
				evict(ports, session, record, signal),
			);
		} catch (error) {
			ports.report("eviction failed", { sequence, error: error instanceof Error ? error.name : "unknown" });
			return { failed: sequence, evicted };
		}
	}
	return { failed: undefined, evicted };
}
