/**
 * A SQLite file of this process's own (`node:sqlite`, loaded when the first is opened). WAL; the lock is exclusive and
 * held until it is closed, so two processes never write one. Errors name the key that named the file, and what to do.
 */
import type { DatabaseSync } from "node:sqlite";
import { asFanoutError, FanoutError } from "./errors.ts";

export interface SqliteFile {
	/** The key that names the file: `local.file`. */
	readonly key: string;
	readonly file: string;
	/** Tells our files from other applications' databases. */
	readonly applicationId: number;
	readonly schemaVersion: number;
	readonly schema: string;
	/** FULL: what is committed is on the disk. NORMAL: it outlives the process, and not always a power cut. */
	readonly synchronous: "FULL" | "NORMAL";
}

const BUSY = 5;
const CANNOT_OPEN = 14;
/** Damaged within; not a database at all. */
const DAMAGED: readonly (number | undefined)[] = [11, 26];

function connect({ key, file }: SqliteFile): DatabaseSync {
	const sqlite = process.getBuiltinModule("node:sqlite");
	if (sqlite === undefined) {
		throw new FanoutError("DependencyMissing", `${key} needs node:sqlite, which Node has since 22.13`);
	}
	return new sqlite.DatabaseSync(file, { timeout: 0 });
}

function first(db: DatabaseSync, sql: string): unknown {
	return Object.values(db.prepare(sql).get() ?? {})[0];
}

function prepare(db: DatabaseSync, spec: SqliteFile): void {
	const { key, file, applicationId, schemaVersion, schema, synchronous } = spec;
	db.exec("PRAGMA locking_mode = EXCLUSIVE");
	const application = Number(first(db, "PRAGMA application_id"));
	const version = Number(first(db, "PRAGMA user_version"));
	const empty = Number(first(db, "SELECT count(*) FROM sqlite_schema")) === 0;
	if (!empty && application !== applicationId) {
		throw new FanoutError("ConfigInvalid", `${key} ${file} is another application's database; name a file of its own`);
	}
	if (!empty && version !== schemaVersion) {
		throw new FanoutError(
			"ConfigInvalid",
			`${key} ${file} has schema version ${version}; this release reads ${schemaVersion}`,
		);
	}
	db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
	if (empty) {
		const marks = `PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}`;
		db.exec(`BEGIN IMMEDIATE; ${schema} ${marks}; COMMIT;`);
	}
	const check = String(first(db, "PRAGMA quick_check(1)"));
	if (check !== "ok") throw Object.assign(new Error(`integrity check: ${check}`), { errcode: DAMAGED[0] });
}

/** All of the work or nothing; throws what failed. */
export function inTransaction(db: DatabaseSync, work: () => void): void {
	db.exec("BEGIN IMMEDIATE");
	try {
		work();
		db.exec("COMMIT");
	} catch (cause) {
		try {
			db.exec("ROLLBACK");
		} catch {
			// After some failures SQLite has done so already, which Node does not say before 22.16.
		}
		throw cause;
	}
}

function sqliteError({ key, file }: Pick<SqliteFile, "key" | "file">, cause: unknown): FanoutError {
	const { errcode } = cause as { readonly errcode?: number };
	if (errcode === BUSY) {
		const message = `${key} ${file} is in use by another process`;
		return new FanoutError("TransportUnavailable", message, { cause, retryable: true, data: { file } });
	}
	const isDamaged = DAMAGED.includes(errcode);
	let hint = errcode === CANNOT_OPEN ? "; does its directory exist, and may this process write there" : "";
	if (isDamaged) hint = "; it is damaged, or no database: move it away";
	const error = asFanoutError(cause, "TransportUnavailable", `${key} ${file} cannot be opened${hint}`);
	if (!isDamaged) return error;
	return new FanoutError(error.code, error.message, { cause, data: { file, damaged: true } });
}

/** Opens or makes it, and lets `read` have the first look; throws a FanoutError, `data.damaged` for a damaged file. */
export function openSqlite<T>(spec: SqliteFile, read: (db: DatabaseSync) => T): T {
	let db: DatabaseSync | undefined;
	try {
		db = connect(spec);
		prepare(db, spec);
		return read(db);
	} catch (cause) {
		db?.close();
		throw sqliteError(spec, cause);
	}
}
