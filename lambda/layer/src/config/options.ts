/**
 * What `createFanout` takes, and what it becomes: which transports, in which order. Without options the environment
 * decides: a cell's variables mean `aws`, nothing means `local`.
 */

import type { AffinityOptions } from "../affinity.ts";
import { createChannel, DEFAULT_NAMESPACE } from "../core/channel.ts";
import type { Clock } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import type { Ids } from "../core/ids.ts";
import { checkNames, checkRanges } from "../core/ranges.ts";
import type { Transport } from "../core/transport.ts";
import { PUBLISHER_RANGES, type PublisherLimits } from "../publish/publisher.ts";
import {
	type BreakerOptions,
	checkBreaker,
	checkOutbox,
	type FallbackStrategy,
	type OutboxOptions,
	type RoutingOptions,
	type TransportRole,
} from "../route/options.ts";
import { checkRegistry, type SessionRegistryOptions } from "../sessions/options.ts";
import { STREAM_RANGES, type StreamLimits } from "../stream/port.ts";
import type { AwsOptions } from "../transports/aws/options.ts";
import type { LocalOptions } from "../transports/local/options.ts";
import type { NatsOptions } from "../transports/nats/options.ts";
import type { RedisOptions } from "../transports/redis/options.ts";
import { ENV } from "./env-names.ts";
import { nowhere, tableOf } from "./registry-place.ts";

export interface ReloadOptions {
	/** The file is looked at every second. Default true; false in Lambda. */
	readonly watch?: boolean | undefined;
	/**
	 * A SIGHUP reads the file again. Default false: as long as a process has a handler, the signal, and a terminal that
	 * closes, do not end it. `close()` removes the handler.
	 */
	readonly onSighup?: boolean | undefined;
}

export interface FanoutOptions {
	/**
	 * A configuration file; other options lie over it. Without one, and without named transports: FANOUT_CONFIG, then
	 * ./fanout.toml, then the environment.
	 */
	readonly config?: string | undefined;
	/** `cluster_id`: fleets with different ones never hear each other. */
	readonly namespace?: string | undefined;
	readonly local?: (LocalOptions & TransportRole) | undefined;
	readonly nats?: (NatsOptions & TransportRole) | undefined;
	readonly redis?: (RedisOptions & TransportRole) | undefined;
	readonly aws?: (AwsOptions & TransportRole) | undefined;
	/** Ready transports of others, after the named ones. */
	readonly transports?: readonly Transport[] | undefined;
	/** Which lanes an envelope enters; without rules, every enabled transport by priority. */
	readonly routing?: RoutingOptions | undefined;
	/** What client streams of this process get while a lane refuses. Default `local`. */
	readonly fallbackStrategy?: FallbackStrategy | undefined;
	/** With more than one transport, or with either of these, every target has a breaker and an outbox. */
	readonly breaker?: Partial<BreakerOptions> | undefined;
	readonly outbox?: Partial<OutboxOptions> | undefined;
	/** When the file that configures this process is read again without being asked to. */
	readonly reload?: ReloadOptions | undefined;
	/** Names this instance to proxies, in a header and a cookie. Default: it does not. */
	readonly affinity?: AffinityOptions | undefined;
	/** Where `fanout.sessions` keeps who owns which session. */
	readonly registry?: SessionRegistryOptions | undefined;
	/** `fail` (default): every transport must start. `degrade`: one is enough, the others are tried again. */
	readonly startup?: "fail" | "degrade" | undefined;
	/** Deadline of a transport's start. */
	readonly startTimeoutMs?: number | undefined;
	/** Deadline of one publish, its wait in the queue included. */
	readonly timeoutMs?: number | undefined;
	/**
	 * False only publishes: no subscription, no socket. `held`: follows only while somebody holds it, as `streamify` does
	 * for a stream. Default `held` inside Lambda, true elsewhere.
	 */
	readonly follow?: boolean | "held" | undefined;
	readonly streams?: Partial<StreamLimits> | undefined;
	readonly publisher?: Partial<PublisherLimits> | undefined;
	readonly clock?: Clock | undefined;
	readonly ids?: Ids | undefined;
	/** The caller's W3C `traceparent` at a publish that names none, as `traceparentOf` of `mcp-fanout/observe` says it. */
	readonly traceparent?: (() => string | undefined) | undefined;
	/** Told of everything that failed and was handled. */
	readonly onerror?: ((error: FanoutError) => void) | undefined;
}

export const DEFAULT_START_TIMEOUT_MS = 10_000;
export const DEFAULT_TIMEOUT_MS = 5_000;

export interface FanoutSettings {
	readonly namespace: string;
	readonly follow: boolean | "held";
	readonly local: LocalOptions | undefined;
	readonly nats: NatsOptions | undefined;
	readonly redis: RedisOptions | undefined;
	readonly aws: AwsOptions | undefined;
	readonly startup: "fail" | "degrade";
	readonly startTimeoutMs: number;
	readonly timeoutMs: number;
	readonly streams: Partial<StreamLimits> | undefined;
	readonly publisher: Partial<PublisherLimits> | undefined;
	readonly breaker: Partial<BreakerOptions> | undefined;
	readonly outbox: Partial<OutboxOptions> | undefined;
	readonly reload: { readonly watch: boolean; readonly onSighup: boolean };
	readonly registry: SessionRegistryOptions;
	/** By transport, where one is given. */
	readonly priorities: Readonly<Record<string, number | undefined>>;
	/** Transports that were configured and are not enabled, and those that were not configured. */
	readonly disabled: readonly string[];
}

const NAMED = ["local", "nats", "redis", "aws"] as const;

const KNOWN: Readonly<Record<keyof FanoutOptions, true>> = {
	...{ config: true, namespace: true, local: true, nats: true, redis: true, aws: true, transports: true },
	...{ routing: true, fallbackStrategy: true, breaker: true, outbox: true, reload: true, affinity: true },
	...{ registry: true, startup: true, startTimeoutMs: true, timeoutMs: true, follow: true, streams: true },
	...{ publisher: true, clock: true, ids: true, traceparent: true, onerror: true },
};

/** What types would have refused. */
export function checkShape(options: FanoutOptions): void {
	const isObject = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);
	if (!isObject(options)) throw new FanoutError("ConfigInvalid", "the options of a fanout must be an object");
	// A misspelt transport would leave a fleet of processes that never hear each other.
	checkNames("a fanout", options, KNOWN);
	for (const [name, value] of Object.entries(options)) {
		if (value === undefined || !NAMED.some((transport) => transport === name) || isObject(value)) continue;
		// Not its text: an address may carry a password.
		const found = value === null ? "null" : Array.isArray(value) ? "a list" : `a ${typeof value}`;
		throw new FanoutError("ConfigInvalid", `${name} must be an object of options, not ${found}`);
	}
}

/** A transport's own options, unless it is disabled. */
function enabled<T extends TransportRole>(
	name: string,
	options: T | undefined,
): Omit<T, keyof TransportRole> | undefined {
	if (options === undefined) return undefined;
	const { enabled: isEnabled, priority, ...own } = options;
	if (isEnabled !== undefined && typeof isEnabled !== "boolean") {
		throw new FanoutError("ConfigInvalid", `${name}.enabled must be true or false`);
	}
	if (priority !== undefined && !Number.isFinite(priority)) {
		throw new FanoutError("ConfigInvalid", `${name}.priority must be a number`);
	}
	return isEnabled === false ? undefined : own;
}

function flag(name: string, value: boolean): boolean {
	if (typeof value === "boolean") return value;
	throw new FanoutError("ConfigInvalid", `${name} must be true or false, not ${String(value)}`);
}

/** A namespace that is none would be refused with the first channel only, when transports run already. */
function checked(namespace: string): string {
	try {
		return createChannel("all", "", { namespace }).namespace;
	} catch (cause) {
		throw new FanoutError("ConfigInvalid", `namespace ${JSON.stringify(namespace)} cannot be part of a channel`, {
			cause,
		});
	}
}

function positive(name: string, value: number): number {
	if (Number.isFinite(value) && value > 0) return value;
	throw new FanoutError("ConfigInvalid", `${name} must be a positive number, not ${String(value)}`);
}

export function resolveOptions(options: FanoutOptions, environment: NodeJS.ProcessEnv = process.env): FanoutSettings {
	const follow = options.follow ?? (environment.AWS_LAMBDA_FUNCTION_NAME === undefined || "held");
	if (follow !== true && follow !== false && follow !== "held") {
		throw new FanoutError("ConfigInvalid", `follow must be true, false or "held", not ${JSON.stringify(follow)}`);
	}
	const named =
		options.local !== undefined ||
		options.nats !== undefined ||
		options.redis !== undefined ||
		options.aws !== undefined ||
		(options.transports?.length ?? 0) > 0;
	const fromCell = !named && (environment[ENV.topicArn] ?? "") !== "";
	const cell = options.aws?.environment ?? environment;
	const aws = options.aws ?? (fromCell ? {} : undefined);
	const { startup = "fail" } = options;
	if (startup !== "fail" && startup !== "degrade") {
		throw new FanoutError("ConfigInvalid", `startup must be "fail" or "degrade", not ${JSON.stringify(startup)}`);
	}
	const { fallbackStrategy } = options;
	if (fallbackStrategy !== undefined && fallbackStrategy !== "local" && fallbackStrategy !== "none") {
		const found = JSON.stringify(fallbackStrategy);
		throw new FanoutError("ConfigInvalid", `fallbackStrategy must be "local" or "none", not ${found}`);
	}
	const transports = {
		local: enabled("local", options.local ?? (named || fromCell ? undefined : {})),
		nats: enabled("nats", options.nats),
		redis: enabled("redis", options.redis),
		aws: enabled("aws", aws === undefined ? undefined : { follow: follow === true, ...aws }),
	};
	const registry = checkRegistry(options.registry);
	const { store } = registry;
	// Else it is said with the first session, when servers run already.
	if ((store === "nats" || store === "redis") && transports[store] === undefined) throw nowhere(store);
	if (store === "dynamodb" && tableOf(registry, cell) === undefined) throw nowhere(store);
	return {
		...transports,
		namespace: checked(options.namespace ?? (aws === undefined ? undefined : cell[ENV.namespace]) ?? DEFAULT_NAMESPACE),
		follow,
		startup,
		startTimeoutMs: positive("startTimeoutMs", options.startTimeoutMs ?? DEFAULT_START_TIMEOUT_MS),
		timeoutMs: positive("timeoutMs", options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
		streams: checkRanges("streams", options.streams, STREAM_RANGES),
		publisher: checkRanges("publisher", options.publisher, PUBLISHER_RANGES),
		breaker: checkBreaker(options.breaker),
		outbox: checkOutbox(options.outbox),
		reload: {
			watch: flag("reload.watch", options.reload?.watch ?? environment.AWS_LAMBDA_FUNCTION_NAME === undefined),
			onSighup: flag("reload.onSighup", options.reload?.onSighup ?? false),
		},
		registry,
		priorities: Object.fromEntries(NAMED.map((name) => [name, options[name]?.priority])),
		disabled: NAMED.filter((name) => transports[name] === undefined),
	};
}
