/**
 * The local transport's store in a SQLite file (`node:sqlite`, loaded only when a file is asked for). WAL with
 * `synchronous = FULL`: an accepted event is on the disk, so an epoch never outlives what was accepted under it.
 * The lock is exclusive and held until `close`: two processes on one file would hand out one lane's offsets twice.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { asFanoutError, FanoutError } from "../../core/errors.ts";
import { inTransaction, openSqlite, type SqliteFile } from "../../core/sqlite-file.ts";
import type { Snapshot, Store, StoredEvent, StoredLog } from "./store.ts";

/** "mcpf". */
const APPLICATION_ID = 0x6d637066;
const SCHEMA = `
	CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
	CREATE TABLE logs (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, base INTEGER NOT NULL, base_at INTEGER NOT NULL) STRICT;
	CREATE TABLE events (log INTEGER NOT NULL, n INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, envelope TEXT NOT NULL,
		PRIMARY KEY (log, n)) STRICT, WITHOUT ROWID;
`;
const specOf = (file: string): SqliteFile => ({
	key: "local.file",
	file,
	applicationId: APPLICATION_ID,
	schemaVersion: 1,
	schema: SCHEMA,
	synchronous: "FULL",
});

/** What is in the file; a log with a hole is trusted only after the hole. */
function load(db: DatabaseSync, freshEpoch: string): Snapshot {
	const insert = db.prepare("INSERT OR IGNORE INTO meta (name, value) VALUES (?, ?)");
	const values: Record<string, string> = { epoch: freshEpoch, floor: "0", floorAt: "0" };
	for (const [name, value] of Object.entries(values)) insert.run(name, value);
	for (const row of db.prepare("SELECT name, value FROM meta").all()) values[String(row.name)] = String(row.value);

	const logs = new Map<number, { key: string; base: number; baseAt: number; events: StoredEvent[] }>();
	for (const row of db.prepare("SELECT id, key, base, base_at FROM logs").all()) {
		logs.set(Number(row.id), { key: String(row.key), base: Number(row.base), baseAt: Number(row.base_at), events: [] });
	}
	for (const row of db.prepare("SELECT log, n, id, at, envelope FROM events ORDER BY log, n").iterate()) {
		const log = logs.get(Number(row.log));
		const offset = Number(row.n);
		if (log === undefined || offset <= log.base) continue;
		const event = { offset, id: String(row.id), at: Number(row.at), text: String(row.envelope) };
		if (offset !== log.base + log.events.length + 1) {
			log.base = offset - 1;
			log.baseAt = Math.max(log.baseAt, event.at);
			log.events = [];
		}
		log.events.push(event);
	}
	const usedAt = (log: StoredLog) => log.events.at(-1)?.at ?? log.baseAt;
	return {
		epoch: values.epoch as string,
		floor: Number(values.floor),
		floorAt: Number(values.floorAt),
		logs: [...logs.values()].sort((a, b) => usedAt(a) - usedAt(b)),
	};
}

interface Statements {
	readonly log: StatementSync;
	readonly event: StatementSync;
	readonly trim: StatementSync;
	readonly clear: StatementSync;
	readonly forget: StatementSync;
	readonly meta: StatementSync;
}

function prepareStatements(db: DatabaseSync): Statements {
	return {
		log: db.prepare(
			"INSERT INTO logs (key, base, base_at) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET base = excluded.base, base_at = excluded.base_at RETURNING id",
		),
		event: db.prepare("INSERT INTO events (log, n, id, at, envelope) VALUES (?, ?, ?, ?, ?)"),
		trim: db.prepare("DELETE FROM events WHERE log = ? AND n <= ?"),
		clear: db.prepare("DELETE FROM events WHERE log = (SELECT id FROM logs WHERE key = ?)"),
		forget: db.prepare("DELETE FROM logs WHERE key = ?"),
		meta: db.prepare("UPDATE meta SET value = ? WHERE name = ?"),
	};
}

export function createSqliteStore(file: string): Store {
	let db: DatabaseSync | undefined;
	let statements: Statements | undefined;
	const drops = new Map<string, { base: number; baseAt: number }>();
	const evictions = new Set<string>();
	let floor: { floor: number; floorAt: number } | undefined;

	const writeNoted = (to: Statements) => {
		for (const key of evictions) {
			to.clear.run(key);
			to.forget.run(key);
		}
		for (const [key, { base, baseAt }] of drops) to.trim.run(Number(to.log.get(key, base, baseAt)?.id), base);
		if (floor === undefined) return;
		to.meta.run(String(floor.floor), "floor");
		to.meta.run(String(floor.floorAt), "floorAt");
	};

	const transaction = (work: (to: Statements) => void) => {
		const to = statements;
		if (db === undefined || to === undefined) throw new FanoutError("Closed", `local.file ${file} is closed`);
		try {
			inTransaction(db, () => {
				writeNoted(to);
				work(to);
			});
		} catch (cause) {
			throw asFanoutError(cause, "TransportUnavailable", `local.file ${file} cannot be written`, true);
		}
		evictions.clear();
		drops.clear();
		floor = undefined;
	};

	return {
		durability: "disk",
		open(freshEpoch) {
			return openSqlite(specOf(file), (opened) => {
				const snapshot = load(opened, freshEpoch);
				statements = prepareStatements(opened);
				db = opened;
				return snapshot;
			});
		},
		append(key, base, baseAt, events) {
			transaction((to) => {
				const log = Number(to.log.get(key, base, baseAt)?.id);
				for (const { offset, id, at, text: envelope } of events) to.event.run(log, offset, id, at, envelope);
			});
		},
		noteDrop(key, base, baseAt) {
			drops.set(key, { base, baseAt });
		},
		noteEviction(key, floorOffset, floorAt) {
			drops.delete(key);
			evictions.add(key);
			floor = { floor: floorOffset, floorAt };
		},
		settle() {
			if (floor !== undefined) transaction(() => {});
		},
		close() {
			if (db === undefined) return;
			try {
				if (drops.size + evictions.size > 0) transaction(() => {});
			} finally {
				db.close();
				db = undefined;
			}
		},
	};
}
