/** `[notification.registry]`: where `fanout.sessions` keeps which instance owns which session. */
import { DEFAULT_LEASE_MS, DEFAULT_MAX_HOLDS } from "../../../sessions/limits.ts";
import { REGISTRY_STORES, type SessionRegistryOptions } from "../../../sessions/options.ts";
import { DEFAULT_RETENTION_MS, MIN_RETENTION_MS } from "../../../sessions/retention.ts";
import { choice, duration, integer, text } from "../field.ts";
import type { Report, Values } from "../section.ts";

export const registryShape = {
	store: choice(
		REGISTRY_STORES,
		"`auto`: where the first transport by priority that a fleet shares can keep sessions, or in memory where every transport is of this process.",
		"auto",
	),
	lease: duration("How long an instance that says nothing keeps its sessions.", DEFAULT_LEASE_MS),
	retention: duration("How long a record is kept after its last write; at least 1m.", DEFAULT_RETENTION_MS),
	timeout_ms: integer("Deadline of one call to the registry.", 2_000, 1, 600_000),
	max_owned: integer("Sessions that this process may own at once.", DEFAULT_MAX_HOLDS, 1, 100_000_000),
	bucket: text(
		"NATS: the KV bucket. Default: the log's `stream_name` and `-sessions`.",
		"1 to 64 letters, digits, - or _",
		/^[\w-]{1,64}$/,
	),
	replicas: integer("NATS: servers that keep the bucket. Default: the log's.", undefined, 1, 5),
	storage: choice(["file", "memory"], "NATS: where the servers keep it. Default: as the log."),
	prefix: text(
		"Redis: before every key. Default: the transport's `prefix` and `:sessions:`.",
		"1 to 64 letters, digits, or any of _ . : / -",
		/^[\w.:/-]{1,64}$/,
	),
	table: text(
		"DynamoDB: the table. Default: the cell's (FANOUT_OWNERS_TABLE).",
		"3 to 255 letters, digits, or any of _ . -",
		/^[\w.-]{3,255}$/,
	),
};

export function registryOptions(values: Values<typeof registryShape>, report: Report): SessionRegistryOptions {
	const { lease, retention } = values;
	if (retention !== undefined && retention < MIN_RETENTION_MS) {
		report("retention", { message: "is too short", allowed: "at least 1m" });
	}
	if ((lease ?? DEFAULT_LEASE_MS) > (retention ?? DEFAULT_RETENTION_MS) / 4) {
		report(lease === undefined ? "retention" : "lease", { message: "a lease is at most a quarter of the retention" });
	}
	return {
		store: values.store,
		leaseMs: lease,
		retentionMs: retention,
		timeoutMs: values.timeout_ms,
		maxOwned: values.max_owned,
		bucket: values.bucket,
		replicas: values.replicas,
		storage: values.storage,
		prefix: values.prefix,
		table: values.table,
	};
}
