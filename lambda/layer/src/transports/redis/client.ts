/**
 * The one file that loads ioredis: lazily and by `require`, so that importing the package loads none of it. Clients never
 * queue while they are not connected, and never send a command again by themselves: order and retries are the caller's.
 */
import { createRequire } from "node:module";
import type * as Ioredis from "ioredis";
import type { Cluster, ClusterOptions, Redis, RedisOptions as RedisClientOptions } from "ioredis";
import type { Clock, Timer } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { isReadOnly } from "./failure.ts";
import { MAX_WAIT_TIMEOUT_MS, parseUrl, type RedisOptions, type RedisTls } from "./options.ts";
import { quietConnector } from "./quiet-connector.ts";

export type { Cluster, Redis };
export type Client = Redis | Cluster;
type NodeOptions = RedisClientOptions & { replyMapping: "legacy" };

/** A connection that answers nothing for this long, though it was asked something, is given up. */
export const SILENCE_MS = 2 * MAX_WAIT_TIMEOUT_MS;
/** A Sentinel that took a connection and says nothing: the next one is asked. */
const SENTINEL_SILENCE_MS = 1_000;
const RETRY_BASE_MS = 25;
const RETRY_CAP_MS = 1_000;

// A bundle in CommonJS form has no import.meta.url; the working directory then serves as the place to look from.
const requireFrom = createRequire(import.meta.url || `file://${process.cwd()}/`);

function load(): typeof Ioredis {
	try {
		return requireFrom("ioredis") as typeof Ioredis;
	} catch (cause) {
		throw new FanoutError(
			"DependencyMissing",
			"the redis transport needs ioredis, which could not be loaded: install it beside mcp-fanout, or pass a client",
			{ cause, data: { module: "ioredis" } },
		);
	}
}

export function isCluster(client: Client): client is Cluster {
	return "nodes" in client && typeof client.nodes === "function";
}

export interface Dialler {
	/** The client for commands; connects by itself. */
	commands(): Client;
	/** A connection for one listener, not connected yet; `node` is a cluster's node. It never redials by itself. */
	listener(node: { readonly host: string; readonly port: number } | undefined): Redis;
}

/**
 * With Sentinels, ioredis 6 ends a client for good when a failover is told while it asks for the primary: its detector
 * closes the connector in the middle of a connect, as after a process was held still. One that nobody closed dials again.
 */
function redialling(client: Redis, clock: Clock, retry: (times: number) => number): Redis {
	const disconnect = client.disconnect.bind(client);
	let isClosed = false;
	let times = 0;
	let timer: Timer | undefined;
	client.disconnect = (reconnect = false) => {
		isClosed ||= !reconnect;
		timer?.cancel();
		disconnect(reconnect);
	};
	client.on("ready", () => {
		times = 0;
	});
	client.on("end", () => {
		if (isClosed) return;
		times += 1;
		// Failures are told by its own error event, and end it again.
		timer = clock.after(retry(times), () => void client.connect().catch(() => {}));
	});
	return client;
}

export interface DiallerParts {
	readonly clock: Clock;
	readonly random: () => number;
}

export function createDialler(
	options: RedisOptions,
	connectTimeoutMs: number,
	{ clock, random }: DiallerParts,
): Dialler {
	const retry = (times: number) => random() * Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.min(times, 10));
	const common: NodeOptions = {
		replyMapping: "legacy",
		connectTimeout: connectTimeoutMs,
		enableOfflineQueue: false,
		autoResendUnfulfilledCommands: false,
		autoResubscribe: false,
		// With zero, whatever is in flight fails when its connection does; otherwise it would never settle.
		maxRetriesPerRequest: 0,
		lazyConnect: true,
		socketTimeout: SILENCE_MS,
		sentinelCommandTimeout: SENTINEL_SILENCE_MS,
		// One command less that a restricted user would have to be allowed.
		disableClientInfo: true,
	};
	const commanding: NodeOptions = { ...common, retryStrategy: retry };
	const listening = { ...common, retryStrategy: null } as unknown as NodeOptions;
	const library = options.client === undefined ? load() : undefined;
	const { Redis, Cluster } = library ?? {};
	const quiet = library === undefined || options.sentinel === undefined ? {} : { Connector: quietConnector(library) };
	const place = { ...placeOf(options), ...quiet };

	return {
		commands() {
			if (options.client !== undefined) return options.client;
			if (options.cluster !== undefined) {
				const cluster: ClusterOptions & { redisOptions: NodeOptions } = {
					redisOptions: { ...commanding, ...place },
					enableOfflineQueue: false,
					lazyConnect: true,
					clusterRetryStrategy: retry,
					retryDelayOnFailover: 50,
					retryDelayOnClusterDown: 100,
					maxRedirections: 8,
					slotsRefreshTimeout: connectTimeoutMs,
					slotsRefreshInterval: 5_000,
					...(options.cluster.nat === undefined ? {} : { natMap: { ...options.cluster.nat } }),
				};
				return new (Cluster as typeof Ioredis.Cluster)([...options.cluster.nodes], cluster);
			}
			// After a failover the old primary answers READONLY: dial again, and ask where the new one is.
			const client = new (Redis as typeof Ioredis.Redis)({ ...commanding, ...place, reconnectOnError: isReadOnly });
			return options.sentinel === undefined ? client : redialling(client, clock, retry);
		},
		listener(node) {
			const { client } = options;
			if (client === undefined) return new (Redis as typeof Ioredis.Redis)({ ...listening, ...place, ...node });
			if (!isCluster(client)) return client.duplicate(listening);
			const known = client.nodes("master").find(({ options: at }) => at.host === node?.host && at.port === node?.port);
			if (known === undefined) throw new FanoutError("TransportUnavailable", "the cluster's node is gone");
			return known.duplicate(listening);
		},
	};
}

function tlsOf(tls: boolean | RedisTls | undefined): { tls?: RedisTls } {
	if (tls === undefined || tls === false) return {};
	return { tls: tls === true ? {} : tls };
}

/** Address and login of a node, as ioredis takes them. */
function placeOf(options: RedisOptions): Omit<RedisClientOptions, "replyMapping"> {
	const { username, password, sentinel, url } = options;
	const login = {
		...(username === undefined ? {} : { username }),
		...(password === undefined ? {} : { password }),
		...tlsOf(options.tls),
	};
	if (sentinel !== undefined) {
		return {
			...login,
			name: sentinel.name,
			sentinels: [...sentinel.nodes],
			db: sentinel.db ?? 0,
			failoverDetector: true,
			...(sentinel.username === undefined ? {} : { sentinelUsername: sentinel.username }),
			...(sentinel.password === undefined ? {} : { sentinelPassword: sentinel.password }),
			...(sentinel.tls === undefined ? {} : { sentinelTLS: tlsOf(sentinel.tls).tls, enableTLSForSentinelMode: true }),
		};
	}
	if (url === undefined) return login;
	const parsed = parseUrl(url);
	return {
		...(parsed.username === "" ? {} : { username: decodeURIComponent(parsed.username) }),
		...(parsed.password === "" ? {} : { password: decodeURIComponent(parsed.password) }),
		...(parsed.protocol === "rediss:" ? { tls: {} } : {}),
		...login,
		host: parsed.hostname.replace(/^\[|\]$/g, ""),
		port: Number(parsed.port || 6379),
		db: Number(parsed.pathname.slice(1) || 0),
	};
}
