/**
 * What a running process cannot change: who hears whom, what its log in memory is bounded by, and, once it has asked for
 * sessions, where they are kept. A configuration that changes one of them is refused as a whole, at the key.
 */
import { isDeepStrictEqual } from "node:util";
import { storeName } from "../session-store.ts";
import { type LocalLimits, type LocalOptions, resolveLimits } from "../transports/local/options.ts";
import type { FanoutSettings } from "./options.ts";

export interface FixedChange {
	/** The file's words. */
	readonly table: "local" | "outbox" | "registry" | undefined;
	readonly key: string;
	readonly was: unknown;
	readonly found: unknown;
}

const LOCAL_KEYS: Readonly<Record<keyof LocalLimits, string>> = {
	maxEventsPerChannel: "max_events_per_channel",
	retentionMs: "max_age",
	maxEvents: "max_events",
	maxBytes: "max_bytes",
	maxPayloadBytes: "max_payload_bytes",
};

function localChanges(was: LocalOptions, now: LocalOptions): FixedChange[] {
	const before = resolveLimits(was);
	const after = resolveLimits(now);
	const limits = (Object.keys(LOCAL_KEYS) as (keyof LocalLimits)[]).map((name) => {
		return { table: "local", key: LOCAL_KEYS[name], was: before[name], found: after[name] } as const;
	});
	return [...limits, { table: "local", key: "file", was: was.file, found: now.file }];
}

/** The registry's own keys, by their names in a file. */
const REGISTRY_KEYS: Readonly<Record<string, string>> = {
	leaseMs: "lease",
	retentionMs: "retention",
	timeoutMs: "timeout_ms",
	maxOwned: "max_owned",
};

function registryChanges(was: FanoutSettings, now: FanoutSettings): FixedChange[] {
	const stores = [was, now].map((settings) => storeName({ settings, transports: [] }));
	const names = new Set(
		[...Object.keys(was.registry), ...Object.keys(now.registry)].filter((name) => name !== "store"),
	);
	const values = [was.registry, now.registry] as unknown as Record<string, unknown>[];
	const keys = [...names].map((name) => {
		const [before, after] = values.map((registry) => registry[name]);
		return { table: "registry", key: REGISTRY_KEYS[name] ?? name, was: before, found: after } as const;
	});
	return [{ table: "registry", key: "store", was: stores[0], found: stores[1] }, ...keys];
}

export function fixedChanges(was: FanoutSettings, now: FanoutSettings, keepsSessions: boolean): FixedChange[] {
	const changes: FixedChange[] = [
		{ table: undefined, key: "cluster_id", was: was.namespace, found: now.namespace },
		{ table: undefined, key: "follow", was: was.follow, found: now.follow },
		{ table: "outbox", key: "file", was: was.outbox?.file, found: now.outbox?.file },
		...(keepsSessions ? registryChanges(was, now) : []),
		...(was.local !== undefined && now.local !== undefined ? localChanges(was.local, now.local) : []),
	];
	return changes.filter(({ was: before, found }) => !isDeepStrictEqual(before, found));
}
