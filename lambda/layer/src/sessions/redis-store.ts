/**
 * The registry on Redis ≥ 6.2 or Valkey: single, Sentinel and cluster (pass a client in for the latter two). Rows of
 * a tenant are spread over PARTITIONS hash tags, so that a cluster shares them out. A server that loses acknowledged
 * writes (no persistence, a failover with asynchronous replication) loses claims with them: P8 holds as far as it lasts.
 */
import { createHash } from "node:crypto";
import type { Cluster, Redis } from "ioredis";
import { parseChannel } from "../core/channel.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { asFanoutError, bare, FanoutError } from "../core/errors.ts";
import { loadClient } from "./load.ts";
import { createRedisChanges } from "./redis-changes.ts";
import { COUNT, LIST, READ, REMOVE, WRITE } from "./redis-scripts.ts";
import { checkRetention, DEFAULT_RETENTION_MS } from "./retention.ts";
import type { Place, Row, Scope, Store, StoredSession } from "./store.ts";

/** Part of the key names: a fleet with another number would not find its sessions, so it is no setting. */
export const PARTITIONS = 16;

export type RedisStoreOptions = {
	readonly clock?: Clock | undefined;
	readonly retentionMs?: number | undefined;
	/** First part of every key; default `mcp-fanout:`. */
	readonly prefix?: string | undefined;
	readonly onerror?: ((error: FanoutError) => void) | undefined;
} & (
	| { readonly url: string; readonly client?: never; readonly dial?: never }
	| { readonly client: Redis | Cluster; readonly url?: never; readonly dial?: never }
	| {
			/** Dials a client that is the store's own, and ready when it resolves: it is closed with the store. */
			readonly dial: (signal: AbortSignal) => Promise<Redis | Cluster>;
			readonly url?: never;
			readonly client?: never;
	  }
);

const part = encodeURIComponent;
const digest = (text: string) => createHash("sha1").update(text).digest("hex");

function rowOf(value: string): Row {
	const end = value.indexOf("\n");
	if (end < 1) throw new FanoutError("InvalidRecord", "a row in Redis is a version, a line feed and a record");
	return { version: value.slice(0, end), text: value.slice(end + 1) };
}

export function createRedisStore(options: RedisStoreOptions): Store {
	const { clock = systemClock, prefix = "mcp-fanout:" } = options;
	const retentionMs = checkRetention(options.retentionMs ?? DEFAULT_RETENTION_MS);
	const report = (error: unknown) =>
		options.onerror?.(asFanoutError(bare(error), "TransportUnavailable", "the connection to Redis failed", true));
	let client: Redis | Cluster | undefined = options.client;
	let closing: Promise<void> | undefined;

	const channelOf = ({ namespace, tenant }: Scope) => `${prefix}${part(namespace)}/${part(tenant)}:changes`;
	const keysOf = ({ namespace, tenant }: Scope, kind: string, partition: number): string[] =>
		["rows", "order", "expiry"].map(
			(name) => `${prefix}{${part(namespace)}/${part(tenant)}/${kind}/${PARTITIONS}.${partition}}:${name}`,
		);
	const keysFor = (place: Place) =>
		keysOf(place, place.kind, createHash("sha1").update(place.key).digest().readUInt16BE(0) % PARTITIONS);

	function connected(): Redis | Cluster {
		if (client !== undefined && closing === undefined) return client;
		throw new FanoutError("Closed", "the registry's connection to Redis is not open");
	}

	async function run(script: string, keys: readonly string[], ...args: (string | number)[]): Promise<unknown> {
		const redis = connected();
		try {
			return await redis.evalsha(digest(script), keys.length, ...keys, ...args);
		} catch (error) {
			if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) throw bare(error);
		}
		try {
			return await redis.eval(script, keys.length, ...keys, ...args);
		} catch (error) {
			throw bare(error);
		}
	}

	const changes = createRedisChanges({ connected, clock, report });
	const changesOf = (place: Place) => (place.kind === "session" ? channelOf(place) : "");

	return {
		name: "redis",
		retentionMs,
		async start(signal) {
			if (options.dial !== undefined) client = await options.dial(signal);
			if (options.url === undefined) return;
			const { Redis: RedisClient } = loadClient("ioredis");
			const own = new RedisClient(options.url, { lazyConnect: true, maxRetriesPerRequest: 1 });
			client = own;
			own.on("error", report);
			try {
				await own.connect();
			} catch (error) {
				// It would go on dialling behind an error that was told.
				own.disconnect();
				throw bare(error);
			}
		},
		async read(place) {
			const value = await run(READ, keysFor(place), place.key);
			return typeof value === "string" ? rowOf(value) : undefined;
		},
		async write(place, row, expected) {
			const { version, text } = row;
			const value = `${version}\n${text}`;
			const args = [place.key, expected?.version ?? "", value, retentionMs, changesOf(place)];
			return (await run(WRITE, keysFor(place), ...args)) === 1 ? { version, text } : undefined;
		},
		async remove(place, expected) {
			return (await run(REMOVE, keysFor(place), place.key, expected.version, changesOf(place))) === 1;
		},
		async count(scope) {
			const partitions = Array.from({ length: PARTITIONS }, (_, index) => keysOf(scope, "session", index));
			const counts = await Promise.all(partitions.map((keys) => run(COUNT, keys)));
			return counts.reduce<number>((sum, count) => sum + Number(count), 0);
		},
		async list(scope, limit, after) {
			let { partition, last } = readCursor(after);
			const rows: StoredSession[] = [];
			while (partition < PARTITIONS) {
				const asked = limit - rows.length;
				const answer = (await run(LIST, keysOf(scope, "session", partition), last, asked)) as string[];
				last = answer[0] ?? "";
				for (let at = 1; at < answer.length; at += 2) {
					rows.push({ session: parseChannel(answer[at]), ...rowOf(answer[at + 1] ?? "") });
				}
				if (rows.length === limit) return { rows, next: `${partition}|${last}` };
				// An empty answer ends the partition; a short one may have met rows that are over.
				if (last === "") partition += 1;
			}
			return { rows };
		},
		watch: (scope, watcher) => changes.watch(channelOf(scope), watcher),
		close() {
			closing ??= (async () => {
				await changes.close();
				if (options.client === undefined) client?.disconnect();
			})();
			return closing;
		},
	};
}

function readCursor(after: string | undefined): { partition: number; last: string } {
	if (after === undefined) return { partition: 0, last: "" };
	const [, number, last = ""] = /^(\d{1,2})\|(.+)$/.exec(after) ?? [];
	const partition = Number(number ?? PARTITIONS);
	if (partition < PARTITIONS) return { partition, last };
	throw new FanoutError("InvalidCursor", "this is no cursor of a listing");
}
