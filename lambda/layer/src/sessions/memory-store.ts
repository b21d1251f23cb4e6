/** The registry in memory, for one process and for tests: registries of one `MemoryTable` see each other. */
import { parseChannel } from "../core/channel.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { FanoutError } from "../core/errors.ts";
import { checkRetention, DEFAULT_RETENTION_MS } from "./retention.ts";
import type { Place, Row, Scope, Store, StoreWatcher } from "./store.ts";

export const DEFAULT_MAX_ROWS = 100_000;

export interface MemoryStoreOptions {
	readonly clock?: Clock | undefined;
	readonly retentionMs?: number | undefined;
	/** Most rows, of sessions and terms together: beyond it nothing new is claimed. */
	readonly maxRows?: number | undefined;
	readonly table?: MemoryTable | undefined;
}

interface Kept extends Row {
	readonly until: number;
}

export class MemoryTable {
	/** By key, in the order of the last writes: the first expires first. */
	readonly rows = new Map<string, Kept>();
	readonly watchers = new Map<StoreWatcher, string>();
}

const prefixOf = ({ namespace, tenant }: Scope) =>
	`${encodeURIComponent(namespace)}/${encodeURIComponent(tenant)}/session:`;

export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
	const { clock = systemClock, table = new MemoryTable(), maxRows = DEFAULT_MAX_ROWS } = options;
	const retentionMs = checkRetention(options.retentionMs ?? DEFAULT_RETENTION_MS);
	const own = new Set<StoreWatcher>();

	function expire(): void {
		const now = clock.monotonic();
		for (const [key, { until }] of table.rows) {
			if (until > now) return;
			table.rows.delete(key);
		}
	}

	function find(place: Place): Kept | undefined {
		expire();
		return table.rows.get(place.key);
	}

	function tell(place: Place): void {
		if (place.kind !== "session") return;
		for (const [watcher, prefix] of table.watchers) if (place.key.startsWith(prefix)) watcher.changed(place);
	}

	const keysOf = (scope: Scope): string[] => {
		expire();
		const prefix = prefixOf(scope);
		return [...table.rows.keys()].filter((key) => key.startsWith(prefix));
	};

	return {
		name: "memory",
		retentionMs,
		async start() {},
		async read(place) {
			return find(place);
		},
		async write(place, { version, text }, expected) {
			const found = find(place);
			if (found?.version !== expected?.version) return undefined;
			if (found === undefined && table.rows.size >= maxRows) {
				throw new FanoutError("QueueFull", `the registry in memory keeps at most ${maxRows} rows`, {
					retryable: true,
					data: { maxRows },
				});
			}
			const kept = { version, text, until: clock.monotonic() + retentionMs };
			table.rows.delete(place.key);
			table.rows.set(place.key, kept);
			tell(place);
			return kept;
		},
		async remove(place, expected) {
			if (find(place)?.version !== expected.version) return false;
			table.rows.delete(place.key);
			tell(place);
			return true;
		},
		async count(scope) {
			return keysOf(scope).length;
		},
		async list(scope, limit, after = "") {
			const keys = keysOf(scope)
				.filter((key) => key > after)
				.sort();
			const page = keys.slice(0, limit);
			const rows = page.map((key) => ({ session: parseChannel(key), ...(table.rows.get(key) as Kept) }));
			const last = page.at(-1);
			return keys.length > page.length && last !== undefined ? { rows, next: last } : { rows };
		},
		async watch(scope, watcher) {
			// One of its own, so that the same listener may watch twice.
			const entry: StoreWatcher = { changed: (session) => watcher.changed(session), suspect: () => watcher.suspect() };
			own.add(entry);
			table.watchers.set(entry, prefixOf(scope));
			return {
				async close() {
					own.delete(entry);
					table.watchers.delete(entry);
				},
			};
		},
		async close() {
			for (const watcher of own) table.watchers.delete(watcher);
			own.clear();
		},
	};
}
