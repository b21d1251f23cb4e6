/** `[notification.redis]`: one server, a Sentinel group or a cluster; Redis or Valkey. */
import { DEFAULT_PRIORITY } from "../../../route/options.ts";
import {
	DEFAULT_CONNECT_TIMEOUT_MS,
	DEFAULT_DEDUP_MS,
	DEFAULT_MAX_EVENTS_PER_CHANNEL,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_PARTITIONS,
	DEFAULT_PREFIX,
	DEFAULT_RETENTION_MS,
	DEFAULT_WAIT_TIMEOUT_MS,
	MAX_WAIT_TIMEOUT_MS,
	type RedisEndpoint,
	type RedisOptions,
} from "../../../transports/redis/options.ts";
import { address, clusterId, duration, flag, integer, list, secret, text } from "../field.ts";
import { type Report, role, type Values } from "../section.ts";

const NODE = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/@[\]]+):\d{1,5}$/;
const nodes = 'nodes as "host:port"';

export const redisShape = {
	enabled: flag(role.enabled, true),
	priority: integer(role.priority, DEFAULT_PRIORITY.redis, 0, 1_000),
	url: address(
		"One server. Exactly one of `url`, `sentinels` and `cluster_nodes` is given.",
		"redis://host:port[/db] or rediss://…, without a login in a file",
		/^rediss?:\/\/[^\s]+$/,
	),
	sentinels: list("The Sentinels of a group; with `sentinel_name`.", nodes, NODE),
	sentinel_name: text("The group's name, as its Sentinels know it.", "1 to 128 printable characters", /^[!-~]{1,128}$/),
	database: integer("Number of the database of a Sentinel group.", 0, 0, 1_000_000),
	cluster_nodes: list("Some nodes of a cluster (Redis 7 or Valkey).", nodes, NODE),
	cluster_id: clusterId("As `notification.cluster_id`."),
	username: text("User name; the password is a secret.", "1 to 256 printable characters", /^[ -~]{1,256}$/),
	password: secret("Password of the servers."),
	sentinel_password: secret("Password of the Sentinels."),
	tls: flag("TLS to a Sentinel group's or a cluster's nodes; one server has it by rediss://.", false),
	prefix: text("Before every key.", "1 to 64 letters, digits, or any of _ . : / -", /^[\w.:/-]{1,64}$/, DEFAULT_PREFIX),
	partitions: integer("What followers subscribe to; fixed for the life of the data.", DEFAULT_PARTITIONS, 1, 4_096),
	max_events_per_channel: integer("Newest events kept of one channel.", DEFAULT_MAX_EVENTS_PER_CHANNEL),
	max_age: duration("How long an event is kept.", DEFAULT_RETENTION_MS),
	dedup_window: duration("How long an envelope's id is remembered.", DEFAULT_DEDUP_MS),
	wait_replicas: integer("Replicas that each write waits for; absent waits for none.", undefined, 1, 16),
	wait_timeout_ms: integer("How long a write waits for them.", DEFAULT_WAIT_TIMEOUT_MS, 1, MAX_WAIT_TIMEOUT_MS),
	max_payload_bytes: integer("Largest encoded envelope.", DEFAULT_MAX_PAYLOAD_BYTES),
	connect_timeout_ms: integer("Deadline of a connection.", DEFAULT_CONNECT_TIMEOUT_MS, 1, 600_000),
};

function endpoint(node: string): RedisEndpoint {
	const colon = node.lastIndexOf(":");
	return { host: node.slice(0, colon).replaceAll(/[[\]]/g, ""), port: Number(node.slice(colon + 1)) };
}

export function redisOptions(values: Values<typeof redisShape>, report: Report): RedisOptions {
	const { sentinels, sentinel_name: name, cluster_nodes: cluster, wait_replicas: replicas, tls } = values;
	const given = (["url", "sentinels", "cluster_nodes"] as const).filter((key) => values[key] !== undefined);
	const [, second] = given;
	if (second !== undefined) {
		report(second, { message: `stands beside ${given[0]}`, allowed: "one of url, sentinels and cluster_nodes" });
	}
	if (sentinels !== undefined && name === undefined) {
		report("sentinels", { message: "needs sentinel_name beside it" });
	}
	for (const key of ["sentinel_name", "database", "sentinel_password"] as const) {
		if (values[key] !== undefined && sentinels === undefined)
			report(key, { message: "is of a Sentinel group: it needs sentinels" });
	}
	if (values.wait_timeout_ms !== undefined && replicas === undefined) {
		report("wait_timeout_ms", { message: "says nothing without wait_replicas" });
	}
	if (tls !== undefined && values.url !== undefined) {
		report("tls", { message: "is of a Sentinel group or a cluster", allowed: "rediss:// in url" });
	}
	const password = values.sentinel_password;
	const db = values.database;
	return {
		url: values.url,
		...(sentinels !== undefined &&
			name !== undefined && {
				sentinel: { name, nodes: sentinels.map(endpoint), password, ...(db !== undefined && { db }) },
			}),
		...(cluster !== undefined && { cluster: { nodes: cluster.map(endpoint) } }),
		username: values.username,
		password: values.password,
		tls,
		prefix: values.prefix,
		partitions: values.partitions,
		maxEventsPerChannel: values.max_events_per_channel,
		retentionMs: values.max_age,
		dedupMs: values.dedup_window,
		maxPayloadBytes: values.max_payload_bytes,
		connectTimeoutMs: values.connect_timeout_ms,
		...(replicas !== undefined && { wait: { replicas, timeoutMs: values.wait_timeout_ms } }),
	};
}
