/**
 * What a reading means as options of `createFanout`: which transports under which strategy, and whether the file's
 * tables agree with each other. Pure: nothing is dialled; secrets stay ARNs, and a cell that only SSM tells is named.
 */
import { isFanoutError } from "../../core/errors.ts";
import { resolveLimits } from "../../transports/local/options.ts";
import { resolveNatsOptions } from "../../transports/nats/options.ts";
import { resolveSettings } from "../../transports/redis/options.ts";
import type { FanoutOptions } from "../options.ts";
import type { Reading } from "./reader.ts";
import { type AwsPlan, awsPlan } from "./sections/aws.ts";
import { localOptions } from "./sections/local.ts";
import { natsOptions } from "./sections/nats.ts";
import { redisOptions } from "./sections/redis.ts";
import { registryOptions } from "./sections/registry.ts";
import { breakerOptions, outboxOptions, TRANSPORT_NAMES } from "./sections/routing.ts";

export type TransportName = (typeof TRANSPORT_NAMES)[number];

export interface Plan {
	readonly options: FanoutOptions;
	/** The cell, when aws is enabled. */
	readonly aws: AwsPlan | undefined;
}

/** The transports that will run, after telling what contradicts the strategy. */
function enabledOf({ general, tables, report }: Reading): Set<TransportName> {
	const { strategy = "composite", fallback_strategy: fallback = "local" } = general;
	const present = TRANSPORT_NAMES.filter((name) => tables[name] !== undefined);
	const on = new Set(present.filter((name) => tables[name]?.enabled !== false));
	const tell = report(undefined);
	if (strategy === "composite") {
		if (on.size === 0 && present.length > 0) {
			tell("strategy", {
				message: "has no transport that is enabled",
				allowed: `one of ${TRANSPORT_NAMES.join(", ")}`,
			});
		}
		return on;
	}
	if (present.includes(strategy) && !on.has(strategy)) {
		tell("strategy", { message: `is ${strategy}, which is not enabled` });
	}
	if (strategy === "redis" && !present.includes("redis")) {
		tell("strategy", { message: "is redis, and no [notification.redis] says where it is" });
	}
	for (const name of on) {
		// Beside another transport, local is what its client streams fall back to.
		if (name === strategy || (name === "local" && fallback === "local")) continue;
		report(name)(tables[name]?.enabled === undefined ? undefined : "enabled", {
			message: `is enabled, but the strategy is ${strategy}`,
			allowed: `enabled = false, or strategy = "composite"`,
		});
	}
	return on.add(strategy);
}

function namespaceOf({ general, tables, report }: Reading): string | undefined {
	const first = general.cluster_id ?? tables.nats?.cluster_id ?? tables.redis?.cluster_id;
	for (const name of ["nats", "redis"] as const) {
		const other = tables[name]?.cluster_id;
		if (other === undefined || other === first) continue;
		report(name)("cluster_id", {
			message: "is another than elsewhere in the configuration",
			found: other,
			allowed: first ?? "",
		});
	}
	return first;
}

function checkTargets(reading: Reading, on: ReadonlySet<string>): void {
	const { rules, tables, general } = reading;
	const { strategy = "composite" } = general;
	if (strategy !== "composite" && rules.length > 0) {
		reading.report("routing")("rules", {
			message: `mean nothing under strategy "${strategy}"`,
			allowed: 'strategy = "composite"',
		});
		return;
	}
	for (const [index, { targets }] of rules.entries()) {
		for (const target of targets) {
			const name = TRANSPORT_NAMES.find((known) => known === target);
			if (name === undefined || tables[name] !== undefined || on.has(name)) continue;
			reading.reportRule(index, { message: `names ${name}, and there is no [notification.${name}]` });
		}
	}
}

/** What the transport itself refuses, after its keys were each found right. */
function settle(reading: Reading, name: TransportName, resolve: () => unknown): void {
	if (!reading.isSound(name)) return;
	try {
		resolve();
	} catch (error) {
		if (!isFanoutError(error, "ConfigInvalid")) throw error;
		reading.report(name)(undefined, { message: error.message });
	}
}

/** A store that no enabled transport reaches is told here, not with the first session. */
function registryPlan({ tables, report }: Reading, on: ReadonlySet<string>) {
	const { registry = {} } = tables;
	const { store } = registry;
	if ((store === "nats" || store === "redis") && !on.has(store)) {
		report("registry")("store", { message: `is ${store}, and that transport is not enabled` });
	}
	if (store === "nats" && tables.nats?.use_jetstream === false) {
		report("registry")("store", { message: "is nats, whose KV needs JetStream", allowed: "use_jetstream = true" });
	}
	return registryOptions(registry, report("registry"));
}

export function planOf(reading: Reading, environment: NodeJS.ProcessEnv): Plan {
	const { general, tables, rules, report } = reading;
	const on = enabledOf(reading);
	checkTargets(reading, on);
	const role = (name: TransportName) => ({ enabled: on.has(name), priority: tables[name]?.priority });
	const has = (name: TransportName) => tables[name] !== undefined || on.has(name);

	const local = localOptions(tables.local ?? {});
	const nats = natsOptions(tables.nats ?? {});
	const redis = redisOptions(tables.redis ?? {}, report("redis"));
	if (on.has("local")) settle(reading, "local", () => resolveLimits(local));
	if (on.has("nats")) settle(reading, "nats", () => resolveNatsOptions(nats));
	if (on.has("redis") && tables.redis !== undefined) settle(reading, "redis", () => resolveSettings(redis));
	const aws = has("aws") ? awsPlan(tables.aws ?? {}, on.has("aws"), environment, report("aws")) : undefined;

	const maxStreams = tables.local?.max_sessions_per_instance;
	const { max_stall: maxStallMs, heartbeat: heartbeatMs } = general;
	const streams = {
		...(maxStreams !== undefined && { maxStreams }),
		...(maxStallMs !== undefined && { maxStallMs }),
		...(heartbeatMs !== undefined && { heartbeatMs }),
	};
	const options: FanoutOptions = {
		...(has("local") && { local: { ...local, ...role("local") } }),
		...(has("nats") && { nats: { ...nats, ...role("nats") } }),
		...(has("redis") && { redis: { ...redis, ...role("redis") } }),
		...(aws !== undefined && { aws: { ...aws.options, ...role("aws") } }),
		namespace: namespaceOf(reading),
		timeoutMs: general.timeout_ms,
		startup: general.startup,
		startTimeoutMs: general.start_timeout_ms,
		follow: general.follow,
		fallbackStrategy: general.fallback_strategy,
		...(rules.length > 0 && { routing: { rules } }),
		// Also before one target alone: what a file says of breaker, outbox and fallback, defaults included, is true of it.
		...((tables.breaker !== undefined || [...on].some((name) => name !== "local")) && {
			breaker: breakerOptions(tables.breaker ?? {}),
		}),
		...(tables.outbox !== undefined && { outbox: outboxOptions(tables.outbox) }),
		...(tables.registry !== undefined && { registry: registryPlan(reading, on) }),
		...(Object.keys(streams).length > 0 && { streams }),
		...(tables.reload !== undefined && {
			reload: { watch: tables.reload.watch, onSighup: tables.reload.on_sighup },
		}),
	};
	return { options, aws: on.has("aws") ? aws : undefined };
}
