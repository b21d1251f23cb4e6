/** The transports, one line each: adding one is a folder and a line here. Each loads only when it is configured. */
import type { Clock } from "../core/clock.ts";
import type { Tell } from "../core/finding.ts";
import type { Ids } from "../core/ids.ts";
import type { Transport } from "../core/transport.ts";
import type { AwsOptions } from "./aws/options.ts";
import type { LocalOptions } from "./local/options.ts";
import type { NatsOptions } from "./nats/options.ts";
import type { RedisOptions } from "./redis/options.ts";

export interface TransportOptions {
	readonly local: LocalOptions;
	readonly nats: NatsOptions;
	readonly redis: RedisOptions;
	readonly aws: AwsOptions;
}

export interface TransportParts {
	readonly clock: Clock;
	readonly ids: Ids;
	readonly instanceId: string;
}

type Loaders = {
	[Name in keyof TransportOptions]: (options: TransportOptions[Name], parts: TransportParts) => Promise<Transport>;
};

export const TRANSPORTS: Loaders = {
	local: async (options, parts) => (await import("./local/index.ts")).createLocalTransport(options, parts),
	nats: async (options, parts) => (await import("./nats/index.ts")).createNatsTransport(options, parts),
	redis: async (options, parts) => (await import("./redis/index.ts")).createRedisTransport(options, parts),
	aws: async (options, parts) => (await import("./aws/index.ts")).createAwsTransport(options, parts),
};

type Examinations = {
	[Name in keyof TransportOptions]: (
		options: TransportOptions[Name],
		parts: TransportParts,
		tell: Tell,
		signal: AbortSignal,
	) => Promise<void>;
};

/** What an operator's check of each looks at; it changes nothing, and leaves nothing when the signal aborts. */
export const EXAMINATIONS: Examinations = {
	local: async (options, _parts, tell) => (await import("./local/index.ts")).examineLocal(options, tell),
	nats: async (...all) => (await import("./nats/index.ts")).examineNats(...all),
	redis: async (...all) => (await import("./redis/index.ts")).examineRedis(...all),
	aws: async (...all) => (await import("./aws/index.ts")).examineAws(...all),
};
