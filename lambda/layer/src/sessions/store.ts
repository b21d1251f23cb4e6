/**
 * The port of a registry's backend: a table of rows that changes by compare-and-set only. It knows no owner and no
 * lease: what a row says is the registry's. Duties of a backend: `write` and `remove` are atomic and refuse when any
 * other version stands; `read` is consistent with them (never a replica's past); rows of different scopes never mix;
 * a row goes `retentionMs` after its last write. Versions are minted by the registry and never repeat.
 */
import type { Channel } from "../core/channel.ts";

/** Where a row is: a session, or an instance's term (`instance:<term>`). The key is escaped by the backend. */
export type Place = Channel;

export interface Scope {
	readonly namespace: string;
	readonly tenant: string;
}

export interface Row {
	readonly version: string;
	readonly text: string;
	/** The backend's own mark of this version, handed back with `expected`; nobody else reads it. */
	readonly mark?: number;
}

export interface StoredSession extends Row {
	readonly session: Channel;
}

export interface StorePage {
	readonly rows: readonly StoredSession[];
	/** Where the next page begins, when there may be one. */
	readonly next?: string;
}

export interface StoreWatcher {
	/** The session's row changed or went: read it. At least once for its last change, maybe fewer than it changed. */
	changed(session: Channel): void;
	/** Changes may be missing: list again. */
	suspect(): void;
}

export interface Watch {
	close(): Promise<void>;
}

export interface Store {
	readonly name: string;
	/** A row is kept so long after its last write. */
	readonly retentionMs: number;
	/** Dials and checks; nothing else is called before it resolved. */
	start(signal: AbortSignal): Promise<void>;
	read(place: Place, signal: AbortSignal): Promise<Row | undefined>;
	/** Writes where `expected` stands (undefined: where no row is); undefined when something else does. */
	write(place: Place, row: Row, expected: Row | undefined, signal: AbortSignal): Promise<Row | undefined>;
	/** False when `expected` does not stand. */
	remove(place: Place, expected: Row, signal: AbortSignal): Promise<boolean>;
	/** Sessions of the scope. */
	count(scope: Scope, signal: AbortSignal): Promise<number>;
	/** A session that is there from the first page to the last is on at least one of them. */
	list(scope: Scope, limit: number, after: string | undefined, signal: AbortSignal): Promise<StorePage>;
	watch(scope: Scope, watcher: StoreWatcher, signal: AbortSignal): Promise<Watch>;
	/** Closes connections that no call uses now, where calls open their own; the next call opens new ones. */
	rest?(): void;
	/** Idempotent; no timer, socket or listener stays. A client that was passed in stays open. */
	close(): Promise<void>;
}
