/**
 * The registry in a NATS KV bucket (nats-server ≥ 2.11). Keys are tokens of base64url: kind, namespace, tenant, id.
 * Reads ask the stream's leader; compare-and-set is the revision's. Pages and watching go by sequence: every key has
 * one message, its newest, so a key that changes while pages are read comes again, and none is left out. Claims last
 * as long as the bucket does: use file storage and three replicas where a server may die. One that is gone is made again.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { type Channel, type ChannelKind, createChannel } from "../core/channel.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { withDeadline } from "../core/deadline.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import { loadClient } from "./load.ts";
import { type Batch, MAX_BATCH, readBatch } from "./nats-batch.ts";
import { openBucket, STREAM_NOT_FOUND } from "./nats-bucket.ts";
import { watchTail } from "./nats-tail.ts";
import { checkRetention, DEFAULT_RETENTION_MS } from "./retention.ts";
import type { Place, Row, Scope, Store, StoredSession, Watch } from "./store.ts";

export const DEFAULT_BUCKET = "mcp-fanout-sessions";
const WRONG_LAST_SEQUENCE = [10071, 10164];
/** What a write is told that no stream takes. */
const NOBODY = "JetStreamNotEnabled";
/** For one page, which may be short or empty then: removed keys leave markers, and there may be very many. */
const MAX_BATCHES = 50;
const LOOK_TIMEOUT_MS = 5_000;

export type NatsStoreOptions = {
	readonly clock?: Clock | undefined;
	readonly retentionMs?: number | undefined;
	readonly bucket?: string | undefined;
	/** 1, 3 or 5; default 1. */
	readonly replicas?: number | undefined;
	readonly storage?: "file" | "memory" | undefined;
	/** JetStream domain, as of a leaf node. */
	readonly domain?: string | undefined;
	/** True: a start fails where the bucket is not there (`isAbsent` in the error's data), and makes none. */
	readonly mustExist?: boolean | undefined;
	readonly onerror?: ((error: FanoutError) => void) | undefined;
} & (
	| {
			/** Dials a connection that is the store's own: it is closed with it. */
			readonly dial: (signal: AbortSignal) => Promise<NatsConnection>;
			readonly connection?: never;
			readonly connect?: never;
	  }
	| { readonly connect: NodeConnectionOptions; readonly connection?: never; readonly dial?: never }
	| { readonly connection: NatsConnection; readonly connect?: never; readonly dial?: never }
);

interface Open {
	readonly connection: NatsConnection;
	readonly manager: JetStreamManager;
	readonly kv: KV;
}

const token = (text: string) => Buffer.from(text).toString("base64url");
const untoken = (text: string) => Buffer.from(text, "base64url").toString();
const keyOf = (place: Place) => [place.kind, token(place.namespace), token(place.tenant), token(place.id)].join(".");
const filterOf = (scope: Scope) => `session.${token(scope.namespace)}.${token(scope.tenant)}.*`;

function rowOf(value: string, revision: number): Row {
	const end = value.indexOf("\n");
	if (end < 1) throw new FanoutError("InvalidRecord", "a row in NATS is a version, a line feed and a record");
	return { version: value.slice(0, end), text: value.slice(end + 1), mark: revision };
}

export function createNatsStore(options: NatsStoreOptions): Store {
	const { clock = systemClock, bucket = DEFAULT_BUCKET, replicas = 1, storage = "file", domain } = options;
	const retentionMs = checkRetention(options.retentionMs ?? DEFAULT_RETENTION_MS);
	const stream = `KV_${bucket}`;
	const subjectPrefix = `$KV.${bucket}.`;
	const api = domain === undefined ? "$JS.API" : `$JS.${domain}.API`;
	const settings = { bucket, replicas, storage, retentionMs, domain, mustExist: options.mustExist };
	const watches = new Set<Watch>();
	let standing: Open | undefined;
	let making: Promise<void> | undefined;
	let closing: Promise<void> | undefined;
	const report = (error: unknown) =>
		options.onerror?.(asFanoutError(error, "TransportUnavailable", "the registry's bucket failed", true));

	function open(): Open {
		if (standing !== undefined && closing === undefined) return standing;
		throw new FanoutError("Closed", "the registry's connection to NATS is not open");
	}

	async function make(connection: NatsConnection): Promise<void> {
		standing = { connection, ...(await openBucket(connection, settings)) };
	}

	/** Once more in a bucket that is made again, where it went with a server that lost its disk. */
	async function inBucket<T>(work: (kv: KV) => Promise<T>): Promise<T> {
		const { connection, kv } = open();
		try {
			return await work(kv);
		} catch (error) {
			const { code, name } = error as { code?: number; name?: string };
			if (code !== STREAM_NOT_FOUND && name !== NOBODY) throw error;
			making ??= make(connection).finally(() => {
				making = undefined;
			});
			await making;
			return work(open().kv);
		}
	}

	function sessionOf(subject: string): Channel {
		const [kind, namespace = "", tenant = "", id = ""] = subject.slice(subjectPrefix.length).split(".");
		return createChannel(kind as ChannelKind, untoken(id), { namespace: untoken(namespace), tenant: untoken(tenant) });
	}

	/** Undefined when another revision stands. */
	async function guarded<T>(write: (kv: KV) => Promise<T>): Promise<T | undefined> {
		try {
			return await inBucket(write);
		} catch (error) {
			if (WRONG_LAST_SEQUENCE.includes((error as { code?: number }).code ?? 0)) return undefined;
			throw error;
		}
	}

	/** Messages of the scope from a sequence on; markers of removed keys too. */
	function batch(scope: Scope, from: number, count: number, signal: AbortSignal): Promise<Batch> {
		const filter = subjectPrefix + filterOf(scope);
		return readBatch(open().connection, { api, stream, filter, from, count }, signal);
	}

	return {
		name: "nats",
		retentionMs,
		async start(signal) {
			const connection = await connectionOf(options, signal);
			try {
				signal.throwIfAborted();
				await make(connection);
				// Whoever waited has gone, and has closed this store.
				signal.throwIfAborted();
			} catch (error) {
				standing = undefined;
				if (options.connection === undefined) await connection.close();
				throw error;
			}
		},
		async read(place) {
			const entry = await inBucket((kv) => kv.get(keyOf(place)));
			return entry === null || entry.operation !== "PUT" ? undefined : rowOf(entry.string(), entry.revision);
		},
		async write(place, { version, text }, expected) {
			const key = keyOf(place);
			const value = `${version}\n${text}`;
			// A removed key has a marker, whose revision `create` looks up itself.
			const write = (kv: KV) =>
				expected?.mark === undefined ? kv.create(key, value) : kv.put(key, value, { previousSeq: expected.mark });
			const revision = await guarded(write);
			return revision === undefined ? undefined : { version, text, mark: revision };
		},
		async remove(place, expected) {
			const { mark = 0 } = expected;
			const removed = await guarded(async (kv) => {
				await kv.delete(keyOf(place), { previousSeq: mark });
				return true;
			});
			return removed === true;
		},
		async count(scope) {
			let count = 0;
			for await (const _key of await open().kv.keys(filterOf(scope))) count += 1;
			return count;
		},
		async list(scope, limit, after, signal) {
			const rows: StoredSession[] = [];
			let last = readCursor(after);
			for (let asked = 0; asked < MAX_BATCHES; asked += 1) {
				// Where there are markers, many of them at once.
				const { messages, pending } = await batch(scope, last + 1, asked === 0 ? limit : MAX_BATCH, signal);
				for (const { seq, subject, data } of messages) {
					last = seq;
					if (data.length === 0) continue;
					rows.push({ session: sessionOf(subject), ...rowOf(Buffer.from(data).toString(), seq) });
					if (rows.length === limit) return { rows, next: String(last) };
				}
				if (pending === 0) return { rows };
			}
			return { rows, next: String(last) };
		},
		async watch(scope, watcher) {
			const { connection, manager } = open();
			const watch = await watchTail({
				connection,
				clock,
				subject: `${bucket}.changes.${filterOf(scope)}`,
				async end() {
					const { created, state } = await manager.streams.info(stream);
					return { made: created, seq: state.last_seq };
				},
				after: (seq) =>
					withDeadline(clock, LOOK_TIMEOUT_MS, "a look", (inner) => batch(scope, seq + 1, MAX_BATCH, inner)),
				changed: (subject) => watcher.changed(sessionOf(subject)),
				suspect: () => watcher.suspect(),
				report,
			});
			watches.add(watch);
			return {
				async close() {
					watches.delete(watch);
					await watch.close();
				},
			};
		},
		close() {
			closing ??= (async () => {
				await Promise.all([...watches].map((watch) => watch.close()));
				if (options.connection === undefined) await standing?.connection.close();
			})();
			return closing;
		},
	};
}

async function connectionOf({ connection, dial, connect }: NatsStoreOptions, signal: AbortSignal) {
	if (connection !== undefined) return connection;
	if (dial !== undefined) return dial(signal);
	// The library would give up after ten tries, or two refused logins.
	const lasting = { maxReconnectAttempts: -1, ignoreAuthErrorAbort: true };
	return loadClient("@nats-io/transport-node").connect({ ...lasting, ...connect });
}

function readCursor(after: string | undefined): number {
	const last = after === undefined ? 0 : Number(after);
	if (Number.isSafeInteger(last) && last >= 0) return last;
	throw new FanoutError("InvalidCursor", "this is no cursor of a listing");
}
