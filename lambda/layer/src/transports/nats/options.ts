/**
 * What the nats transport may be told, with the defaults that it really uses. The log's settings are part of what a
 * fleet shares: an instance with other ones than the existing streams have does not start.
 */
import { FanoutError } from "../../core/errors.ts";
import { checkNames } from "../../core/ranges.ts";
import { type Login, readAddresses } from "./address.ts";
import type { NatsConnection, TlsOptions } from "./client.ts";

export const DEFAULT_SERVERS = ["nats://127.0.0.1:4222"] as const;
export const DEFAULT_PREFIX = "fanout";
export const DEFAULT_CLIENT_NAME = "mcp-fanout {instance_id}";
export const DEFAULT_PARTITIONS = 8;
export const DEFAULT_MAX_AGE_MS = 24 * 60 * 60 * 1000;
export const DEFAULT_MAX_MESSAGES = 1_000_000;
export const DEFAULT_MAX_MESSAGES_PER_CHANNEL = 10_000;
export const DEFAULT_DEDUP_MS = 120_000;
export const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;
export const DEFAULT_REQUEST_TIMEOUT_MS = 1_000;
export const DEFAULT_ACK_TIMEOUT_MS = 1_000;
export const DEFAULT_MAX_IN_FLIGHT = 4_096;
export const DEFAULT_MAX_PAYLOAD_BYTES = 120 * 1024;
export const DEFAULT_PING_MS = 5_000;
/** A lost end is found within this. */
export const END_CHECK_MS = 1_000;
/** Channels in one check of ends: it goes by partition; more would hold this process up while they are compared. */
export const ENDS_BATCH = 5_000;
/** Envelopes in one atomic batch; the server's own bound is 1,000. */
export const MAX_BATCH = { count: 100, bytes: 512 * 1024 } as const;
const MAX_PARTITIONS = 256;
/** In each partition: its epoch is one of them, and is written again when half of them came after it. */
const MIN_MESSAGES = 16;
const PREFIX = /^(?=.{1,64}$)[\w-]+(?:\.[\w-]+)*$/;
const NAME = /^[\w-]{1,64}$/;

export interface NatsOptions {
	/** `[nats://|tls://][user:password@|token@]host[:port]`; in one text with commas between them. */
	readonly servers?: string | readonly string[] | undefined;
	/** A ready connection; it stays open when the transport closes, and its own reconnect settings hold. */
	readonly connection?: NatsConnection | undefined;
	readonly token?: string | undefined;
	readonly user?: string | undefined;
	readonly password?: string | undefined;
	/** An nkey seed. */
	readonly nkey?: string | undefined;
	/** The contents of a creds file. */
	readonly creds?: string | undefined;
	readonly tls?: TlsOptions | undefined;
	/** The connection's name in the server's lists; `{instance_id}` is this process's. */
	readonly clientName?: string | undefined;
	/** First tokens of every subject; what is live goes to `<prefix>-live`. */
	readonly prefix?: string | undefined;
	/** The streams are `<streamName>-0` and on; by default the prefix, with _ for its dots. */
	readonly streamName?: string | undefined;
	/** Streams that the log is kept in; can be changed only with a new prefix or after the streams were removed. */
	readonly partitions?: number | undefined;
	readonly replicas?: number | undefined;
	/**
	 * `file` (default) or `memory`. With one replica the receipt says `disk` or `memory`, with more `replicated`.
	 * `disk` is what nats-server means by it: written, but synced by its own `sync_interval` (two minutes); only
	 * `sync_interval: always` in the server's configuration survives a crash of the operating system.
	 */
	readonly storage?: "memory" | "file" | undefined;
	readonly maxAgeMs?: number | undefined;
	/** Messages kept in all partitions together, at least 16 in each. */
	readonly maxMessages?: number | undefined;
	readonly maxMessagesPerChannel?: number | undefined;
	/** How long an envelope's id is remembered. */
	readonly dedupMs?: number | undefined;
	/** False: core NATS without a log. Nothing is replayed or deduplicated, and a lost connection is told as `epoch`. */
	readonly jetstream?: boolean | undefined;
	/** JetStream domain, as of a leaf node. */
	readonly domain?: string | undefined;
	/** First tokens of the inbox, where an account's permissions ask for it. */
	readonly inboxPrefix?: string | undefined;
	readonly connectTimeoutMs?: number | undefined;
	/** Deadline of one question to JetStream. */
	readonly requestTimeoutMs?: number | undefined;
	/** How long one attempt waits for its acknowledgement; the publisher offers again until its own deadline. */
	readonly ackTimeoutMs?: number | undefined;
	/** Messages of this process that may wait for an acknowledgement at once. */
	readonly maxInFlight?: number | undefined;
	readonly maxPayloadBytes?: number | undefined;
	/** Two pings without an answer end a connection. */
	readonly pingMs?: number | undefined;
}

export interface LogSettings {
	readonly prefix: string;
	readonly streamName: string;
	readonly partitions: number;
	readonly replicas: number;
	readonly storage: "memory" | "file";
	readonly maxAgeMs: number;
	/** In one partition. */
	readonly maxMessages: number;
	readonly maxMessagesPerChannel: number;
	readonly dedupMs: number;
}

export interface NatsSettings extends LogSettings {
	/** Without logins. */
	readonly servers: readonly string[];
	readonly login: Login;
	readonly clientName: string;
	readonly jetstream: boolean;
	readonly domain: string | undefined;
	readonly inboxPrefix: string | undefined;
	readonly connectTimeoutMs: number;
	readonly requestTimeoutMs: number;
	readonly ackTimeoutMs: number;
	readonly maxInFlight: number;
	readonly maxPayloadBytes: number;
	readonly pingMs: number;
}

function invalid(name: string, what: string): FanoutError {
	return new FanoutError("ConfigInvalid", `nats.${name} ${what}`, { data: { name: `nats.${name}` } });
}

function positive(name: string, value: number, most = Number.MAX_SAFE_INTEGER): number {
	if (Number.isSafeInteger(value) && value > 0 && value <= most) return value;
	const bound = most === Number.MAX_SAFE_INTEGER ? "" : ` of at most ${most}`;
	throw invalid(name, `must be a positive integer${bound}, not ${String(value)}`);
}

/** The login by name or token, which may be in the addresses. */
function loginOf(options: NatsOptions, inAddresses: Login | undefined): Login {
	const named = (["token", "user", "nkey", "creds"] as const).filter((name) => options[name] !== undefined);
	const ways = inAddresses === undefined ? named : ["servers", ...named];
	if (ways.length > 1) throw invalid(ways.join(", nats."), "are several ways to log in: name one");
	const { token, user, password } = options;
	if (password !== undefined && user === undefined) throw invalid("password", "needs nats.user");
	return inAddresses ?? { token, user, password };
}

const KNOWN: Readonly<Record<keyof NatsOptions, true>> = {
	...{ servers: true, connection: true, token: true, user: true, password: true, nkey: true },
	...{ creds: true, tls: true, clientName: true, prefix: true, streamName: true, partitions: true },
	...{ replicas: true, storage: true, maxAgeMs: true, maxMessages: true, maxMessagesPerChannel: true, dedupMs: true },
	...{
		jetstream: true,
		domain: true,
		inboxPrefix: true,
		connectTimeoutMs: true,
		requestTimeoutMs: true,
		ackTimeoutMs: true,
	},
	...{ maxInFlight: true, maxPayloadBytes: true, pingMs: true },
};

export function resolveNatsOptions(options: NatsOptions): NatsSettings {
	checkNames("nats", options, KNOWN);
	const given = typeof options.servers === "string" ? options.servers.split(",") : (options.servers ?? DEFAULT_SERVERS);
	const named = given.map((server) => server.trim()).filter((server) => server !== "");
	if (named.length === 0) throw invalid("servers", "names no server");
	const { servers, login } = readAddresses(named);
	const prefix = options.prefix ?? DEFAULT_PREFIX;
	if (!PREFIX.test(prefix)) {
		throw invalid("prefix", "is tokens of letters, digits, - or _, joined by dots, of at most 64 characters");
	}
	const streamName = options.streamName ?? prefix.replaceAll(".", "_");
	if (!NAME.test(streamName)) throw invalid("streamName", "is 1 to 64 letters, digits, - or _");
	const storage = options.storage ?? "file";
	if (storage !== "file" && storage !== "memory") throw invalid("storage", 'must be "file" or "memory"');
	const partitions = positive("partitions", options.partitions ?? DEFAULT_PARTITIONS, MAX_PARTITIONS);
	const maxAgeMs = positive("maxAgeMs", options.maxAgeMs ?? DEFAULT_MAX_AGE_MS);
	const maxMessages = positive("maxMessages", options.maxMessages ?? DEFAULT_MAX_MESSAGES);
	if (maxMessages < MIN_MESSAGES * partitions) {
		throw invalid("maxMessages", `must be at least ${MIN_MESSAGES} for each of ${partitions} partitions`);
	}
	return {
		servers,
		login: loginOf(options, login),
		jetstream: options.jetstream ?? true,
		domain: options.domain,
		inboxPrefix: options.inboxPrefix,
		clientName: options.clientName ?? DEFAULT_CLIENT_NAME,
		prefix,
		streamName,
		partitions,
		replicas: positive("replicas", options.replicas ?? 1, 5),
		storage,
		maxAgeMs,
		maxMessages: Math.ceil(maxMessages / partitions),
		maxMessagesPerChannel: positive(
			"maxMessagesPerChannel",
			options.maxMessagesPerChannel ?? DEFAULT_MAX_MESSAGES_PER_CHANNEL,
		),
		// The server refuses a window that is longer than the age.
		dedupMs: Math.min(maxAgeMs, positive("dedupMs", options.dedupMs ?? DEFAULT_DEDUP_MS)),
		connectTimeoutMs: positive("connectTimeoutMs", options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS),
		requestTimeoutMs: positive("requestTimeoutMs", options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS),
		ackTimeoutMs: positive("ackTimeoutMs", options.ackTimeoutMs ?? DEFAULT_ACK_TIMEOUT_MS),
		maxInFlight: positive("maxInFlight", options.maxInFlight ?? DEFAULT_MAX_IN_FLIGHT),
		maxPayloadBytes: positive("maxPayloadBytes", options.maxPayloadBytes ?? DEFAULT_MAX_PAYLOAD_BYTES),
		pingMs: positive("pingMs", options.pingMs ?? DEFAULT_PING_MS),
	};
}
