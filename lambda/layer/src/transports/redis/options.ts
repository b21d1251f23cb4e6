/** What the redis transport may be told, with the defaults that it really uses. */
import type { Cluster, Redis } from "ioredis";
import { FanoutError } from "../../core/errors.ts";
import { checkNames } from "../../core/ranges.ts";

export const DEFAULT_PREFIX = "fanout";
/** Followers subscribe to partitions: more of them let an instance hear less of what it does not follow. */
export const DEFAULT_PARTITIONS = 64;
export const DEFAULT_MAX_EVENTS_PER_CHANNEL = 1_000;
export const DEFAULT_RETENTION_MS = 24 * 60 * 60 * 1000;
export const DEFAULT_DEDUP_MS = 120_000;
export const DEFAULT_MAX_PAYLOAD_BYTES = 120 * 1024;
export const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
export const DEFAULT_WAIT_TIMEOUT_MS = 500;
/** WAIT holds up its connection, which is given up when it is silent for twice as long. */
export const MAX_WAIT_TIMEOUT_MS = 2_000;
const MAX_PARTITIONS = 4_096;

export interface RedisEndpoint {
	readonly host: string;
	readonly port: number;
}

export interface RedisTls {
	readonly ca?: string | Buffer;
	readonly cert?: string | Buffer;
	readonly key?: string | Buffer;
	readonly servername?: string;
	readonly rejectUnauthorized?: boolean;
}

interface RedisLogin {
	readonly username?: string | undefined;
	readonly password?: string | undefined;
	/** `true`, or what Node's TLS needs. */
	readonly tls?: boolean | RedisTls | undefined;
}

/** Where the store is: exactly one of `url`, `sentinel`, `cluster` and `client`. */
export interface RedisOptions extends RedisLogin {
	/** `redis://[user:password@]host:port[/db]`, or `rediss://` for TLS. */
	readonly url?: string | undefined;
	readonly sentinel?:
		| (RedisLogin & { readonly name: string; readonly nodes: readonly RedisEndpoint[]; readonly db?: number })
		| undefined;
	/** Redis >= 7 or Valkey. `nat` maps "host:port" as the nodes announce it to what is reached from here. */
	readonly cluster?:
		| { readonly nodes: readonly RedisEndpoint[]; readonly nat?: Readonly<Record<string, RedisEndpoint>> }
		| undefined;
	/** A client that is connected or connects by itself. It is not closed with the transport; a listener is duplicated. */
	readonly client?: Redis | Cluster | undefined;
	/** Before every key. Fleets that share a store and a prefix share logs. */
	readonly prefix?: string | undefined;
	/** Fixed for the life of the data: kept in the store and checked. */
	readonly partitions?: number | undefined;
	/** How many of a channel's newest events are kept, at the least. */
	readonly maxEventsPerChannel?: number | undefined;
	/** How long an event is kept, and an idle channel that nobody follows, in milliseconds. */
	readonly retentionMs?: number | undefined;
	/** How long an envelope's id is remembered, at the least. */
	readonly dedupMs?: number | undefined;
	readonly maxPayloadBytes?: number | undefined;
	readonly connectTimeoutMs?: number | undefined;
	/** Waits for replicas after each write: the receipt says `replicated` when enough of them had it in time. */
	readonly wait?: { readonly replicas: number; readonly timeoutMs?: number | undefined } | undefined;
}

export interface RedisSettings {
	readonly prefix: string;
	readonly partitions: number;
	readonly maxEventsPerChannel: number;
	readonly retentionMs: number;
	readonly dedupMs: number;
	readonly maxPayloadBytes: number;
	readonly connectTimeoutMs: number;
	readonly wait: { readonly replicas: number; readonly timeoutMs: number } | undefined;
}

function invalid(message: string): FanoutError {
	return new FanoutError("ConfigInvalid", message);
}

function positive(name: string, value: number, most = Number.MAX_SAFE_INTEGER): number {
	if (Number.isSafeInteger(value) && value > 0 && value <= most) return value;
	const bound = most === Number.MAX_SAFE_INTEGER ? "" : ` of at most ${most}`;
	throw invalid(`redis.${name} must be a positive integer${bound}, not ${String(value)}`);
}

const KNOWN: Readonly<Record<keyof RedisOptions, true>> = {
	...{ username: true, password: true, tls: true, url: true, sentinel: true, cluster: true },
	...{ client: true, prefix: true, partitions: true, maxEventsPerChannel: true, retentionMs: true, dedupMs: true },
	...{ maxPayloadBytes: true, connectTimeoutMs: true, wait: true },
};

export function resolveSettings(options: RedisOptions): RedisSettings {
	checkNames("redis", options, KNOWN);
	const places = ["url", "sentinel", "cluster", "client"] as const;
	const given = places.filter((name) => options[name] !== undefined);
	if (given.length !== 1) {
		throw invalid(`redis takes exactly one of ${places.join(", ")}; given: ${given.join(", ") || "none"}`);
	}
	// The listener's channels have no such prefix: it would hear nothing.
	if (options.client?.options.keyPrefix)
		throw invalid("redis.client must have no keyPrefix: name redis.prefix instead");
	const nodes = options.sentinel?.nodes ?? options.cluster?.nodes;
	if (nodes?.length === 0) throw invalid(`redis.${given[0]}.nodes must name at least one node`);
	const prefix = options.prefix ?? DEFAULT_PREFIX;
	// Braces would move the hash tag, and with it a partition's keys to different nodes.
	if (!/^[\w.:/-]{1,64}$/.test(prefix)) {
		throw invalid("redis.prefix must be 1 to 64 letters, digits, or any of _ . : / -");
	}
	const { wait } = options;
	return {
		prefix,
		partitions: positive("partitions", options.partitions ?? DEFAULT_PARTITIONS, MAX_PARTITIONS),
		maxEventsPerChannel: positive("maxEventsPerChannel", options.maxEventsPerChannel ?? DEFAULT_MAX_EVENTS_PER_CHANNEL),
		retentionMs: positive("retentionMs", options.retentionMs ?? DEFAULT_RETENTION_MS),
		dedupMs: positive("dedupMs", options.dedupMs ?? DEFAULT_DEDUP_MS),
		maxPayloadBytes: positive("maxPayloadBytes", options.maxPayloadBytes ?? DEFAULT_MAX_PAYLOAD_BYTES),
		connectTimeoutMs: positive("connectTimeoutMs", options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS),
		wait: wait && {
			replicas: positive("wait.replicas", wait.replicas),
			timeoutMs: positive("wait.timeoutMs", wait.timeoutMs ?? DEFAULT_WAIT_TIMEOUT_MS, MAX_WAIT_TIMEOUT_MS),
		},
	};
}

/** Where the store is, without its secrets: for errors and logs. */
export function endpointOf(options: RedisOptions): string {
	const list = (nodes: readonly RedisEndpoint[]) => nodes.map(({ host, port }) => `${host}:${port}`).join(",");
	if (options.sentinel !== undefined) return `sentinel ${options.sentinel.name} at ${list(options.sentinel.nodes)}`;
	if (options.cluster !== undefined) return `cluster ${list(options.cluster.nodes)}`;
	if (options.url === undefined) return "the client that was passed in";
	const { protocol, hostname, port } = parseUrl(options.url);
	return `${protocol}//${hostname}:${port || "6379"}`;
}

/** A % of a password has to be written as %25. */
function isEncoded(text: string): boolean {
	try {
		decodeURIComponent(text);
		return true;
	} catch {
		return false;
	}
}

export function parseUrl(text: string): URL {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	const isAddress = url !== undefined && /^rediss?:$/.test(url.protocol) && url.hostname !== "";
	if (!isAddress || !isEncoded(url.username) || !isEncoded(url.password)) {
		// The text may hold a password: it is not repeated.
		throw invalid("redis.url must be redis://[user:password@]host:port[/db] or rediss://..., login percent-encoded");
	}
	if (!/^\/?\d*$/.test(url.pathname)) throw invalid("redis.url ends with a database number, or nothing");
	return url;
}
