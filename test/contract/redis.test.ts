/** The contract on real Valkey servers: one alone, a group under Sentinels, and a cluster of three primaries. */
import { createRedisTransport, type RedisOptions } from "mcp-fanout/transports/redis";
import { afterAll, beforeAll } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createKeys } from "../../lambda/layer/src/transports/redis/keys.ts";
import {
	MASTER_NAME,
	type SentinelGroup,
	startSentinelGroup,
	startValkeyCluster,
	startValkeyServer,
	type ValkeyCluster,
	type ValkeyServer,
} from "../support/valkey.ts";
import { runContract } from "./map.ts";

const PARTITIONS = 16;
const PREFIX = "contract";
const ids = createIds(systemClock);
const keys = createKeys(PREFIX, PARTITIONS);
let count = 0;

/** `primaries` are asked when a case runs: the servers start after the cases are collected. */
function harness(options: () => RedisOptions, primaries: () => readonly ValkeyServer[]) {
	return {
		createTransport: async () =>
			createRedisTransport(
				{ ...options(), prefix: PREFIX, partitions: PARTITIONS },
				{ clock: systemClock, ids, instanceId: ids.next() },
			),
		namespace: () => `contract-${++count}`,
		limits: { waitMs: 5_000 },
		async forget(channel: Parameters<typeof keys.partitionOf>[0]) {
			const log = keys.log(keys.partitionOf(channel), channel);
			for (const { admin } of primaries()) {
				const [oldest] = await admin.xrange(log, "-", "+", "COUNT", 1).catch(() => []);
				if (oldest !== undefined) await admin.xdel(log, oldest[0]);
			}
		},
		async reset() {
			for (const { admin } of primaries()) await admin.flushall();
		},
	};
}

let single: ValkeyServer;
let group: SentinelGroup;
let cluster: ValkeyCluster;

beforeAll(async () => {
	[single, group, cluster] = await Promise.all([startValkeyServer(), startSentinelGroup(), startValkeyCluster()]);
});
afterAll(async () => {
	await Promise.all([single?.stop(), group?.stop(), cluster?.stop()]);
});

const endpoint = ({ host, port }: ValkeyServer) => ({ host, port });

runContract("redis, one server", () =>
	harness(
		() => ({ url: single.url }),
		() => [single],
	),
);
runContract("redis, under Sentinels", () =>
	harness(
		() => ({ sentinel: { name: MASTER_NAME, nodes: group.sentinels.map(endpoint) } }),
		() => [group.primary],
	),
);
runContract("redis, a cluster", () =>
	harness(
		() => ({ cluster: { nodes: [endpoint(cluster.primaries[0] as ValkeyServer)] } }),
		() => cluster.primaries,
	),
);
