/**
 * Sync: the sessions table's stream in this region. When another region became a session's home, whoever follows
 * the session here is told `moved` and loses its rows. A record that makes no sense is reported and passed over: one
 * that was thrown on would hold up its shard for a day.
 */
import type { Home } from "../home.ts";
import { encodeServerFrame } from "../wire.ts";
import type { Connections } from "./connections.ts";
import { forEachBounded, POST_CONCURRENCY, type PostPorts, postFrames } from "./poster.ts";

export interface SyncRecord {
	readonly sequence: string;
	/** The new item's fields; undefined for a removed or unreadable one. */
	readonly session: string | undefined;
	readonly region: string | undefined;
}

export interface SyncPorts extends PostPorts {
	/** The own region. */
	readonly region: string;
	readonly home: Pick<Home, "look">;
	readonly connections: Pick<Connections, "of" | "unfollow" | "remove">;
}

async function evict(ports: SyncPorts, session: string): Promise<number> {
	const home = await ports.home.look(session);
	if (home === undefined || home.region === ports.region) return 0;
	const followers = await ports.connections.of(session);
	const frames = [encodeServerFrame({ t: "moved", channel: session })];
	await forEachBounded(followers, POST_CONCURRENCY, async (follower) => {
		// Told first: were its rows gone and the frame lost, it would wait here for what goes elsewhere.
		const result = await postFrames(ports, follower, frames);
		if (result === "posted") await ports.connections.unfollow(follower.id, [session]);
	});
	return followers.length;
}

/** Evictions in the stream's order; the sequence of the first record that must come again, if one must. */
export async function sync(
	ports: SyncPorts,
	records: readonly SyncRecord[],
): Promise<{ readonly failed: string | undefined; readonly evicted: number }> {
	let evicted = 0;
	for (const { sequence, session, region } of records) {
		if (session === undefined || region === undefined) {
			ports.report("stream record was passed over", { sequence });
			continue;
		}
		if (region === ports.region) continue;
		try {
			evicted += await evict(ports, session);
		} catch (error) {
			ports.report("eviction failed", { sequence, error: error instanceof Error ? error.name : "unknown" });
			return { failed: sequence, evicted };
		}
	}
	return { failed: undefined, evicted };
}
