/**
 * What the registry keeps: sessions, and the terms of instances. Versioned for a mixed fleet: a version N+1 only adds
 * fields; release N reads it, keeps the fields that it does not know when it writes, and never lowers the version.
 * `facts` (what was negotiated) and `state` (the application's) are opaque JSON and bounded in bytes.
 */
import { type Channel, parseChannel } from "../core/channel.ts";
import { FanoutError } from "../core/errors.ts";

export const WRITTEN_RECORD_VERSION = 1;
export const READ_RECORD_VERSION = WRITTEN_RECORD_VERSION + 1;
export const MAX_FACTS_BYTES = 32 * 1024;
export const MAX_STATE_BYTES = 64 * 1024;
export const MAX_PRINCIPAL_BYTES = 512;
/** The whole row: facts, state, and what a later release adds. */
export const MAX_RECORD_BYTES = 128 * 1024;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/** One lease of one instance, from enlisting to its end; every session that the instance owns hangs on it. */
export interface Term {
	readonly instance: string;
	/** Unique for ever: a term that ended never stands again. */
	readonly id: string;
	readonly leaseMs: number;
}

/**
 * `live`: nobody ended it. Whether its instance still runs is not said by that: one that died is `live` until somebody
 * who wants a session of it has seen it silent for a whole lease. `gone`: its row was lost, or outlived its retention.
 */
export type TermState = TermRecord["state"] | "gone";

export interface TermRecord extends Term {
	readonly state: "live" | "retired" | "fenced";
}

export interface SessionRecord {
	readonly v: number;
	readonly session: Channel;
	/** Changes with every write; what compare-and-set compares. */
	readonly version: string;
	/** Counts the claims of this record; the newest owner has the greatest. */
	readonly epoch: number;
	/** The newest claim's own id: unlike an epoch it never comes again, also when the record was removed and made anew. */
	readonly claim: string;
	/** Undefined when released. */
	readonly owner: Term | undefined;
	readonly principal: string | undefined;
	readonly facts: Json;
	readonly state: Json;
	/** Milliseconds since 1970 by the writer's clock: no lease is judged by it. Sessions that are idle for long are. */
	readonly createdAt: number;
	readonly touchedAt: number;
	/** Fields of a later release. */
	readonly unknown: Readonly<Record<string, unknown>>;
}

function invalid(what: string, cause?: unknown): FanoutError {
	return new FanoutError("InvalidRecord", what, { cause });
}

function bounded(name: string, bytes: number, maxBytes: number): void {
	if (bytes <= maxBytes) return;
	throw new FanoutError("PayloadTooLarge", `${name} takes ${bytes} bytes, at most ${maxBytes} are kept`, {
		data: { bytes, maxBytes },
	});
}

/** A copy through JSON, so that what is kept is what was said, and nothing that JSON cannot say. */
export function boundedJson(name: string, value: unknown, maxBytes: number): Json {
	let text: string | undefined;
	try {
		text = JSON.stringify(value ?? null);
	} catch (cause) {
		throw invalid(`${name} must be JSON: no cycles, no BigInt`, cause);
	}
	if (text === undefined) throw invalid(`${name} must be JSON`);
	bounded(name, Buffer.byteLength(text), maxBytes);
	return JSON.parse(text) as Json;
}

export function checkPrincipal(principal: unknown): string | undefined {
	if (principal === undefined) return undefined;
	if (typeof principal !== "string" || principal === "") throw invalid("a principal is a non-empty string");
	bounded("principal", Buffer.byteLength(principal), MAX_PRINCIPAL_BYTES);
	return principal;
}

export function encodeSession(record: SessionRecord): string {
	const { unknown, session, version: _version, v, ...fields } = record;
	const known = { ...fields, v: Math.max(v, WRITTEN_RECORD_VERSION), session: session.key };
	const text = JSON.stringify({ ...unknown, ...known });
	bounded("a session's record", Buffer.byteLength(text), MAX_RECORD_BYTES);
	return text;
}

function parse(text: string): Record<string, unknown> & { v: number } {
	let raw: unknown;
	try {
		raw = JSON.parse(text);
	} catch (cause) {
		throw invalid("a record is JSON", cause);
	}
	if (typeof raw !== "object" || raw === null || Array.isArray(raw)) throw invalid("a record is a JSON object");
	const { v } = raw as { v?: unknown };
	if (typeof v !== "number" || !Number.isSafeInteger(v) || v < 1) throw invalid("a record has a version");
	if (v > READ_RECORD_VERSION) {
		throw new FanoutError(
			"UnknownRecordVersion",
			`record version ${v}; this release reads up to ${READ_RECORD_VERSION}`,
			{
				data: { version: v, readVersion: READ_RECORD_VERSION },
			},
		);
	}
	return raw as Record<string, unknown> & { v: number };
}

function readTerm(raw: unknown): Term {
	const { instance, id, leaseMs } = (raw ?? {}) as Record<string, unknown>;
	if (typeof instance !== "string" || instance === "" || typeof id !== "string" || id === "") {
		throw invalid("a term names its instance and its id");
	}
	if (typeof leaseMs !== "number" || !Number.isFinite(leaseMs) || leaseMs <= 0) throw invalid("a term has a lease");
	return { instance, id, leaseMs };
}

/** Throws InvalidRecord or UnknownRecordVersion. */
export function decodeSession(text: string, version: string): SessionRecord {
	const { v, session, epoch, claim, owner, principal, facts, state, createdAt, touchedAt, ...unknown } = parse(text);
	if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 1) throw invalid("an epoch counts from 1");
	if (typeof claim !== "string" || claim === "") throw invalid("a claim has an id");
	if (typeof createdAt !== "number" || typeof touchedAt !== "number") throw invalid("times are in milliseconds");
	if (principal !== undefined && typeof principal !== "string") throw invalid("a principal is a string");
	return {
		v,
		session: parseChannel(session),
		version,
		epoch,
		claim,
		owner: owner === undefined ? undefined : readTerm(owner),
		principal,
		facts: (facts ?? null) as Json,
		state: (state ?? null) as Json,
		createdAt,
		touchedAt,
		unknown,
	};
}

export function encodeTerm({ instance, id, leaseMs, state }: TermRecord): string {
	return JSON.stringify({ v: WRITTEN_RECORD_VERSION, instance, id, leaseMs, state });
}

export function decodeTerm(text: string): TermRecord {
	const raw = parse(text);
	const { state } = raw;
	if (state !== "live" && state !== "retired" && state !== "fenced") throw invalid("a term is live, retired or fenced");
	return { ...readTerm(raw), state };
}
