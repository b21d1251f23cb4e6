/** What the session registry of a fanout may be told. Nothing is opened before the first use of `fanout.sessions`. */
import { FanoutError } from "../core/errors.ts";
import type { Store } from "./store.ts";

export const REGISTRY_STORES = ["auto", "memory", "nats", "redis", "dynamodb"] as const;
export type RegistryStore = (typeof REGISTRY_STORES)[number];

export interface SessionRegistryOptions {
	/**
	 * Where sessions are kept. `auto` (default): where the first transport by priority that a fleet shares can keep them,
	 * or in memory where every transport is of this process. A store that is given is closed with the fanout.
	 */
	readonly store?: RegistryStore | Store | undefined;
	/** How long an instance that says nothing keeps its sessions. Default 15 s. */
	readonly leaseMs?: number | undefined;
	/** How long a record is kept after its last write; owners write theirs in time. Default 24 h. */
	readonly retentionMs?: number | undefined;
	/** Deadline of one call to the registry. Default 2 s. */
	readonly timeoutMs?: number | undefined;
	/** Sessions that this process may own at once. Default 100,000. */
	readonly maxOwned?: number | undefined;
	/** NATS: the KV bucket, its replicas and storage. Replicas and storage default to those of the transport's log. */
	readonly bucket?: string | undefined;
	readonly replicas?: number | undefined;
	readonly storage?: "file" | "memory" | undefined;
	/** Redis: before every key. Default: the transport's prefix and `:sessions:`. */
	readonly prefix?: string | undefined;
	/** DynamoDB: the table. Default: the cell's. */
	readonly table?: string | undefined;
}

export function checkRegistry(options: SessionRegistryOptions = {}): SessionRegistryOptions {
	const { store } = options;
	if (typeof store === "string" && !REGISTRY_STORES.includes(store)) {
		const allowed = REGISTRY_STORES.map((name) => `"${name}"`).join(", ");
		throw new FanoutError(
			"ConfigInvalid",
			`registry.store must be ${allowed} or a store, not ${JSON.stringify(store)}`,
		);
	}
	for (const name of ["leaseMs", "retentionMs", "timeoutMs", "maxOwned"] as const) {
		const value = options[name];
		if (value === undefined || (Number.isFinite(value) && value > 0)) continue;
		throw new FanoutError("ConfigInvalid", `registry.${name} must be a positive number, not ${String(value)}`);
	}
	return options;
}
