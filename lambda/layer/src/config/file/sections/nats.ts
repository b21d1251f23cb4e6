/** `[notification.nats]`: the servers, and the log that the whole fleet shares. */
import { DEFAULT_PRIORITY } from "../../../route/options.ts";
import {
	DEFAULT_ACK_TIMEOUT_MS,
	DEFAULT_CONNECT_TIMEOUT_MS,
	DEFAULT_DEDUP_MS,
	DEFAULT_MAX_AGE_MS,
	DEFAULT_MAX_IN_FLIGHT,
	DEFAULT_MAX_MESSAGES,
	DEFAULT_MAX_MESSAGES_PER_CHANNEL,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_PARTITIONS,
	DEFAULT_PING_MS,
	DEFAULT_PREFIX,
	DEFAULT_REQUEST_TIMEOUT_MS,
	DEFAULT_SERVERS,
	type NatsOptions,
} from "../../../transports/nats/options.ts";
import { addresses, choice, clusterId, duration, flag, integer, secret, text } from "../field.ts";
import { role, type Values } from "../section.ts";

const SERVER = /^(?:(?:nats|tls|wss?):\/\/)?[^\s/,]+$/;
const PATH = /^[^\0]+$/;

export const natsShape = {
	enabled: flag(role.enabled, true),
	priority: integer(role.priority, DEFAULT_PRIORITY.nats, 0, 1_000),
	servers: addresses(
		"Servers of the cluster; any that answers will do.",
		"a list of nats:// or tls:// addresses, without a login in a file",
		SERVER,
		DEFAULT_SERVERS,
	),
	cluster_id: clusterId("As `notification.cluster_id`."),
	client_id: text(
		"The connection's name in the server's lists; `{instance_id}` is this process's id.",
		"1 to 128 printable characters",
		/^[ -~]{1,128}$/,
		"mcp-fanout {instance_id}",
	),
	subject_prefix: text(
		"First tokens of every subject; what is live goes to `<prefix>-live`.",
		"tokens of letters, digits, - or _, joined by dots, at most 64 characters",
		/^(?=.{1,64}$)[\w-]+(?:\.[\w-]+)*$/,
		DEFAULT_PREFIX,
	),
	use_jetstream: flag("False: core NATS alone; nothing is replayed or deduplicated.", true),
	stream_name: text(
		"Prefix of the partition streams' names: `<name>-0` and on. Default: `subject_prefix` with _ for dots.",
		"1 to 64 letters, digits, - or _",
		/^[\w-]{1,64}$/,
	),
	max_age: duration("How long the log keeps a message.", DEFAULT_MAX_AGE_MS),
	max_msgs: integer(
		"Messages in the log, divided among the partition streams: at least 16 for each.",
		DEFAULT_MAX_MESSAGES,
	),
	max_msgs_per_channel: integer("Newest messages kept of one channel.", DEFAULT_MAX_MESSAGES_PER_CHANNEL),
	partitions: integer("Streams that the log is kept in; fixed for the life of the log.", DEFAULT_PARTITIONS, 1, 256),
	replicas: integer("Servers that keep each stream.", 1, 1, 5),
	storage: choice(["file", "memory"], "Where the servers keep the log.", "file"),
	dedup_window: duration("How long an envelope's id is remembered; at most `max_age`.", DEFAULT_DEDUP_MS),
	user: text("User name; the password is a secret.", "1 to 256 printable characters", /^[ -~]{1,256}$/),
	password: secret("Password of `user`."),
	token: secret("Token, where the servers take one."),
	nkey: secret("An nkey's seed."),
	creds: secret("The contents of a creds file."),
	tls_ca_file: text("Certificates of the authorities that are trusted.", "a path", PATH),
	tls_cert_file: text("This client's certificate.", "a path", PATH),
	tls_key_file: text("The key of this client's certificate.", "a path", PATH),
	domain: text("JetStream domain, as of a leaf node.", "letters, digits, - or _", /^[\w-]{1,64}$/),
	inbox_prefix: text(
		"First tokens of the inbox, where permissions ask for it.",
		"tokens joined by dots",
		/^[\w.-]{1,64}$/,
	),
	connect_timeout_ms: integer("Deadline of a connection.", DEFAULT_CONNECT_TIMEOUT_MS, 1, 600_000),
	request_timeout_ms: integer("Deadline of one question to JetStream.", DEFAULT_REQUEST_TIMEOUT_MS, 1, 600_000),
	ack_timeout_ms: integer("How long one attempt waits to be acknowledged.", DEFAULT_ACK_TIMEOUT_MS, 1, 600_000),
	max_in_flight: integer("Messages of this process that wait to be acknowledged.", DEFAULT_MAX_IN_FLIGHT, 1, 1_000_000),
	max_payload_bytes: integer("Largest encoded envelope.", DEFAULT_MAX_PAYLOAD_BYTES),
	ping_ms: integer("Two pings without an answer end a connection.", DEFAULT_PING_MS, 1, 600_000),
};

export function natsOptions(values: Values<typeof natsShape>): NatsOptions {
	const { tls_ca_file: caFile, tls_cert_file: certFile, tls_key_file: keyFile } = values;
	const withTls = caFile !== undefined || certFile !== undefined || keyFile !== undefined;
	return {
		servers: values.servers,
		clientName: values.client_id,
		prefix: values.subject_prefix,
		streamName: values.stream_name,
		jetstream: values.use_jetstream,
		maxAgeMs: values.max_age,
		maxMessages: values.max_msgs,
		maxMessagesPerChannel: values.max_msgs_per_channel,
		partitions: values.partitions,
		replicas: values.replicas,
		storage: values.storage,
		dedupMs: values.dedup_window,
		user: values.user,
		password: values.password,
		token: values.token,
		nkey: values.nkey,
		creds: values.creds,
		...(withTls && {
			tls: { ...(caFile && { caFile }), ...(certFile && { certFile }), ...(keyFile && { keyFile }) },
		}),
		domain: values.domain,
		inboxPrefix: values.inbox_prefix,
		connectTimeoutMs: values.connect_timeout_ms,
		requestTimeoutMs: values.request_timeout_ms,
		ackTimeoutMs: values.ack_timeout_ms,
		maxInFlight: values.max_in_flight,
		maxPayloadBytes: values.max_payload_bytes,
		pingMs: values.ping_ms,
	};
}
