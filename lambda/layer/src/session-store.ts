/**
 * Where the session registry keeps its rows: what the options name, or what fits the transports. Every library of a
 * store loads when the registry is opened, which is with its first use.
 */
import { isDeepStrictEqual } from "node:util";
import { ENV } from "./config/env-names.ts";
import type { FanoutSettings } from "./config/options.ts";
import { nowhere, tableOf } from "./config/registry-place.ts";
import type { Clock } from "./core/clock.ts";
import { FanoutError } from "./core/errors.ts";
import type { Capabilities, Transport } from "./core/transport.ts";
import { DEFAULT_PRIORITY, OTHER_PRIORITY } from "./route/options.ts";
import type { RegistryStore } from "./sessions/options.ts";
import type { Store } from "./sessions/store.ts";
import { resolveNatsOptions } from "./transports/nats/options.ts";

export interface StoreParts {
	readonly settings: FanoutSettings;
	/** All that run: what they reach, at the least. */
	readonly transports: readonly (Pick<Transport, "name"> & {
		readonly capabilities: Pick<Capabilities, "reach">;
	})[];
	readonly instanceId: string;
	readonly clock: Clock;
	readonly random: () => number;
	readonly onerror: (error: FanoutError) => void;
	/** A look that makes nothing: where a start would make the store, it fails with `isAbsent` in its data. */
	readonly mustExist?: boolean;
}

const KEEPERS = [
	["nats", "nats"],
	["redis", "redis"],
	["aws", "dynamodb"],
] as const;
type Keeper = (typeof KEEPERS)[number][0];

function invalid(what: string): FanoutError {
	return new FanoutError("ConfigInvalid", what);
}

/** The name of the store, and none that another process of the fleet would not find. */
export function storeName({ settings, transports }: Pick<StoreParts, "settings" | "transports">): RegistryStore {
	const { store = "auto" } = settings.registry;
	if (typeof store !== "string" || store !== "auto") return store as RegistryStore;
	const rank = (name: Keeper) => settings.priorities[name] ?? DEFAULT_PRIORITY[name] ?? OTHER_PRIORITY;
	const [first] = KEEPERS.filter(([name]) => canKeep(settings, name)).toSorted(([a], [b]) => rank(a) - rank(b));
	if (first !== undefined) return first[1];
	const shared = transports.find(({ capabilities }) => capabilities.reach !== "process");
	if (shared === undefined) return "memory";
	throw invalid(
		`no store for sessions: ${shared.name} keeps none here (NATS needs JetStream, AWS ${ENV.ownersTable}); name registry.store`,
	);
}

function canKeep({ nats, redis, aws, registry }: FanoutSettings, name: Keeper): boolean {
	if (name === "nats") return nats !== undefined && nats.jetstream !== false;
	if (name === "redis") return redis !== undefined;
	return aws !== undefined && tableOf(registry, aws.environment ?? process.env) !== undefined;
}

/** Another store where what the store was opened by says something else now, such as other servers or another login. */
export async function openElsewhere(was: FanoutSettings, parts: StoreParts): Promise<Store | undefined> {
	const [keeper] = KEEPERS.find(([, name]) => name === storeName(parts)) ?? [];
	if (keeper === undefined || typeof parts.settings.registry.store === "object") return undefined;
	return isDeepStrictEqual(was[keeper], parts.settings[keeper]) ? undefined : openStore(parts);
}

export async function openStore(parts: StoreParts): Promise<Store> {
	const { settings, instanceId, clock, random, onerror, mustExist } = parts;
	const { nats, redis, aws, registry } = settings;
	if (typeof registry.store === "object") return registry.store;
	const name = storeName(parts);
	const common = { clock, retentionMs: registry.retentionMs, onerror };
	if (name === "memory") return (await import("./sessions/memory-store.ts")).createMemoryStore(common);
	if (name === "nats") {
		if (nats === undefined) throw nowhere("nats");
		const { createNatsStore } = await import("./sessions/nats-store.ts");
		const { dialNats } = await import("./transports/nats/index.ts");
		const { connection } = nats;
		return createNatsStore({
			...common,
			bucket: registry.bucket ?? `${resolveNatsOptions(nats).streamName}-sessions`,
			replicas: registry.replicas ?? nats.replicas,
			storage: registry.storage ?? nats.storage,
			domain: nats.domain,
			mustExist,
			...(connection === undefined
				? { dial: (signal) => dialNats(nats, clock, `mcp-fanout sessions ${instanceId}`, signal) }
				: { connection }),
		});
	}
	if (name === "redis") {
		if (redis === undefined) throw nowhere("redis");
		const { createRedisStore } = await import("./sessions/redis-store.ts");
		const { dialRedis, DEFAULT_PREFIX } = await import("./transports/redis/index.ts");
		const failed = (error: unknown) => onerror(disconnected(error));
		return createRedisStore({
			...common,
			prefix: registry.prefix ?? `${redis.prefix ?? DEFAULT_PREFIX}:sessions:`,
			...(redis.client === undefined
				? { dial: (signal) => dialRedis(redis, { clock, random }, failed, signal) }
				: { client: redis.client }),
		});
	}
	const environment = aws?.environment ?? process.env;
	const table = tableOf(registry, environment);
	if (table === undefined) throw nowhere("dynamodb");
	const { createDynamoStore } = await import("./sessions/dynamo-store.ts");
	const client = aws?.clients?.dynamo();
	if (client !== undefined) return createDynamoStore({ ...common, table, client });
	const region = aws?.region ?? environment.AWS_REGION ?? process.env.AWS_REGION;
	if (region === undefined) throw invalid("registry.store is dynamodb, and no region is given (AWS_REGION)");
	const endpoint = aws?.endpoint ?? environment.AWS_ENDPOINT_URL ?? process.env.AWS_ENDPOINT_URL;
	return createDynamoStore({ ...common, table, region, endpoint });
}

function disconnected(cause: unknown): FanoutError {
	return new FanoutError("TransportUnavailable", "the session registry's connection to Redis failed", {
		cause,
		retryable: true,
	});
}
