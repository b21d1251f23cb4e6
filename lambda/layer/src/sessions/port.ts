/**
 * The registry's port: who owns which session, and what is known of it. Ownership hangs on the owner's term (one
 * lease of one instance, renewed by one write however many sessions it has). Every write compares-and-sets the row
 * that was read, so a stale owner's is refused with NotOwner. Whoever acts as an owner looks at its own lease first:
 * `createOwner` does. What the store loses, nobody can fence: keep the registry where acknowledged writes last.
 */
import type { Channel } from "../core/channel.ts";
import type { Json, SessionRecord, Term, TermState } from "./record.ts";
import type { Scope, Watch } from "./store.ts";
import type { Lease } from "./terms.ts";

export interface Opening {
	/** The user behind the session. A record that has one, or has none, is claimed with the same only. */
	readonly principal?: string | undefined;
	/** Kept in a record that is made; a claim of one that is there ignores them. */
	readonly facts?: Json | undefined;
	readonly state?: Json | undefined;
}

/** What a claim gave: the writes of its holder name it, and are refused once a later claim stands. */
export interface Held {
	readonly session: Channel;
	readonly epoch: number;
	readonly claim: string;
	readonly term: Term;
}

export type Claim =
	| { readonly ok: true; readonly held: Held; readonly record: SessionRecord; readonly created: boolean }
	/** Another's lease may stand: ask again within this time, so that its silence is seen. */
	| { readonly ok: false; readonly owner: Term; readonly waitMs: number };

export interface Patch {
	readonly facts?: Json | undefined;
	readonly state?: Json | undefined;
}

/** As an owner, or as anybody who has read the record and writes only if it did not change since. */
export type Basis = Held | Pick<SessionRecord, "session" | "version">;

export interface SessionPage {
	readonly sessions: readonly SessionRecord[];
	/** Hand it back as `after`, also where a page is short or empty; undefined on the last page. */
	readonly next: string | undefined;
}

export interface SessionChange {
	readonly session: Channel;
	/** As it is now; undefined when the session is gone. */
	readonly record: SessionRecord | undefined;
}

export interface ChangeListener {
	/** At least once for a session's last change; renewals are none. Expiry is not told. */
	change(change: SessionChange): void;
	/** Changes may be missing: list again. */
	suspect(): void;
}

export interface Registry {
	readonly name: string;
	readonly namespace: string;
	readonly retentionMs: number;
	start(signal?: AbortSignal): Promise<void>;

	/** Begins a term of this instance. */
	enlist(instance: string, leaseMs: number, signal?: AbortSignal): Promise<Lease>;
	/** Throws NotOwner when the term is over; anything else may be tried again. */
	renew(lease: Lease, signal?: AbortSignal): Promise<Lease>;
	/** Ends the term by one write: every session of it may be claimed at once. */
	retire(lease: Lease, signal?: AbortSignal): Promise<void>;
	/** How anybody's term stands as it is written: this reads one row, and unlike a claim it ends none. */
	standing(term: Term, signal?: AbortSignal): Promise<TermState>;

	/** Makes a record that nobody owns; Conflict when there is one. */
	create(session: Channel, opening?: Opening, signal?: AbortSignal): Promise<SessionRecord>;
	claim(session: Channel, term: Term, opening?: Opening, signal?: AbortSignal): Promise<Claim>;
	release(held: Held, signal?: AbortSignal): Promise<void>;
	get(session: Channel, signal?: AbortSignal): Promise<SessionRecord | undefined>;
	/** Throws NotOwner (a held basis that is stale) or Conflict (a read one that is). */
	update(basis: Basis, patch: Patch, signal?: AbortSignal): Promise<SessionRecord>;
	/** Ends the session for everybody. Without holding it: Conflict while its owner may live (`owner` in its data: ask it). */
	remove(basis: Basis, signal?: AbortSignal): Promise<void>;

	count(tenant: string, signal?: AbortSignal): Promise<number>;
	list(
		tenant: string,
		page?: { readonly limit?: number; readonly after?: string | undefined },
		signal?: AbortSignal,
	): Promise<SessionPage>;
	watch(tenant: string, listener: ChangeListener, signal?: AbortSignal): Promise<Watch>;
	/** Closes connections that no call uses now; the next call opens new ones. */
	rest(): void;
	/** Idempotent; no timer, socket or listener stays. */
	close(): Promise<void>;
}

export type { Scope, Watch };
