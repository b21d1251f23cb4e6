/**
 * Where what is queued is kept beside memory, so that it outlives the process: a SQLite file, of one process at a time.
 * What is put is written before whoever is told `queued` hears it: once for all of one turn. WAL with `synchronous =
 * NORMAL`: a killed process loses nothing of it, a machine that loses its power may lose the last of it. A write that
 * fails is told and tried again with a later one; meanwhile memory is all there is. A read that fails is told: what a
 * reload puts in force must not stop halfway.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { asFanoutError, type FanoutError, isFanoutError } from "../core/errors.ts";
import { inTransaction, openSqlite, type SqliteFile } from "../core/sqlite-file.ts";

export interface StoredEnvelope {
	readonly row: number;
	/** When it was published, by wall time. */
	readonly at: number;
	/** The encoded envelope. */
	readonly text: string;
}

export interface OutboxFile {
	readonly state: "ok" | "failed";
	/** What was kept for a lane, in its order. */
	load(lane: string): StoredEnvelope[];
	/** Removes what was published before, of all lanes but these; how many, by lane. */
	expire(beforeMs: number, but: readonly string[]): { readonly lane: string; readonly count: number }[];
	/** Returns its row; undefined where there is no file to write. */
	put(lane: string, at: number, text: string): number | undefined;
	remove(row: number): void;
	/** Writes what is to be written. Idempotent. */
	close(): void;
}

/** "mcpo". */
const APPLICATION_ID = 0x6d63706f;
const SCHEMA =
	"CREATE TABLE kept (row INTEGER PRIMARY KEY, lane TEXT NOT NULL, at INTEGER NOT NULL, envelope TEXT NOT NULL) STRICT;";
const TELL_EVERY_MS = 1_000;
/** A write that fails has gone through all that waits for it, and blocks the process meanwhile. */
const RETRY_EVERY_MS = 1_000;

interface Statements {
	readonly put: StatementSync;
	readonly remove: StatementSync;
}

export interface OutboxFileDeps {
	readonly file: string;
	monotonic(): number;
	report(error: FanoutError): void;
}

/** Throws what keeps the process from starting; a damaged file is told, stays where it is, and memory is all there is. */
export function openOutboxFile(deps: OutboxFileDeps): OutboxFile {
	const { file } = deps;
	const spec: SqliteFile = {
		...{ key: "outbox.file", file, schema: SCHEMA, schemaVersion: 1 },
		...{ applicationId: APPLICATION_ID, synchronous: "NORMAL" },
	};
	try {
		return openSqlite(spec, (db) => new SqliteOutbox(db, deps));
	} catch (error) {
		if (!isFanoutError(error) || error.data.damaged !== true) throw error;
		deps.report(error);
		return { state: "failed", load: () => [], expire: () => [], put: () => undefined, remove() {}, close() {} };
	}
}

class SqliteOutbox implements OutboxFile {
	readonly #db: DatabaseSync;
	readonly #deps: OutboxFileDeps;
	readonly #statements: Statements;
	readonly #puts = new Map<number, Omit<StoredEnvelope, "row"> & { readonly lane: string }>();
	readonly #removes = new Set<number>();
	#next: number;
	#isDue = false;
	#isFailing = false;
	#isClosed = false;
	#toldAt = Number.NEGATIVE_INFINITY;
	#retryAt = Number.NEGATIVE_INFINITY;

	constructor(db: DatabaseSync, deps: OutboxFileDeps) {
		this.#db = db;
		this.#deps = deps;
		this.#statements = {
			put: db.prepare("INSERT INTO kept (row, lane, at, envelope) VALUES (?, ?, ?, ?)"),
			remove: db.prepare("DELETE FROM kept WHERE row = ?"),
		};
		this.#next = Number(db.prepare("SELECT coalesce(max(row), 0) AS last FROM kept").get()?.last) + 1;
	}

	get state(): "ok" | "failed" {
		return this.#isFailing ? "failed" : "ok";
	}

	load(lane: string): StoredEnvelope[] {
		this.#write();
		try {
			const rows = this.#db.prepare("SELECT row, at, envelope FROM kept WHERE lane = ? ORDER BY row").all(lane);
			return rows.map(({ row, at, envelope }) => ({ row: Number(row), at: Number(at), text: String(envelope) }));
		} catch (cause) {
			this.#fail(cause, `cannot be read: what it has of ${lane} stays there`);
			return [];
		}
	}

	expire(beforeMs: number, but: readonly string[]): { readonly lane: string; readonly count: number }[] {
		const values = [Math.floor(beforeMs), JSON.stringify(but)];
		const where = "WHERE at < ? AND lane NOT IN (SELECT value FROM json_each(?))";
		try {
			const old = this.#db.prepare(`SELECT lane, count(*) AS count FROM kept ${where} GROUP BY lane`).all(...values);
			if (old.length > 0) this.#db.prepare(`DELETE FROM kept ${where}`).run(...values);
			return old.map(({ lane, count }) => ({ lane: String(lane), count: Number(count) }));
		} catch (cause) {
			this.#fail(cause, "cannot be read: what is too old stays there");
			return [];
		}
	}

	put(lane: string, at: number, text: string): number {
		const row = this.#next;
		this.#next += 1;
		this.#puts.set(row, { lane, at: Math.floor(at), text });
		this.#writeSoon();
		return row;
	}

	remove(row: number): void {
		if (!this.#puts.delete(row)) this.#removes.add(row);
		this.#writeSoon();
	}

	close(): void {
		if (this.#isClosed) return;
		this.#write();
		this.#isClosed = true;
		this.#db.close();
	}

	/** Before anything that is promised in this turn is heard. */
	#writeSoon(): void {
		if (this.#isDue || this.#deps.monotonic() < this.#retryAt) return;
		this.#isDue = true;
		queueMicrotask(() => {
			this.#isDue = false;
			if (!this.#isClosed) this.#write();
		});
	}

	#write(): void {
		if (this.#puts.size + this.#removes.size === 0) return;
		const { put, remove } = this.#statements;
		try {
			inTransaction(this.#db, () => {
				for (const [row, { lane, at, text }] of this.#puts) put.run(row, lane, at, text);
				for (const row of this.#removes) remove.run(row);
			});
		} catch (cause) {
			this.#fail(cause, "cannot be written: what is queued is in memory only");
			return;
		}
		this.#isFailing = false;
		this.#retryAt = Number.NEGATIVE_INFINITY;
		this.#puts.clear();
		this.#removes.clear();
	}

	#fail(cause: unknown, what: string): void {
		this.#isFailing = true;
		const now = this.#deps.monotonic();
		this.#retryAt = now + RETRY_EVERY_MS;
		if (now - this.#toldAt < TELL_EVERY_MS) return;
		this.#toldAt = now;
		this.#deps.report(asFanoutError(cause, "TransportUnavailable", `outbox.file ${this.#deps.file} ${what}`, true));
	}
}
