/** Tier 2: Redis or Valkey, one server, a Sentinel group or a cluster. */
export { dialRedis } from "./dial.ts";
export { examineRedis } from "./examine.ts";
export {
	DEFAULT_DEDUP_MS,
	DEFAULT_MAX_EVENTS_PER_CHANNEL,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_PARTITIONS,
	DEFAULT_PREFIX,
	DEFAULT_RETENTION_MS,
	type RedisEndpoint,
	type RedisOptions,
	type RedisTls,
} from "./options.ts";
export { createRedisTransport, type RedisParts } from "./transport.ts";
