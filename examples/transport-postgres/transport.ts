/**
 * A transport over PostgreSQL: the log is a table, live entries are notifications, ends and pages are queries. For
 * fleets that have a database and no broker. docs/adding-a-transport.md goes through it method by method.
 */
import { randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
	type Ask,
	asFanoutError,
	BEGINNING,
	type Channel,
	type Durability,
	decodeEnvelope,
	type Entry,
	type Envelope,
	encodeEnvelope,
	envelopeBytes,
	epochOf,
	FanoutError,
	isFanoutError,
	type Outcome,
	type Page,
	type Position,
	type Subscriber,
	type Transport,
	type TransportHost,
} from "mcp-fanout/transport";
import { Pool, type PoolConfig } from "pg";
import { failureOf, notStarted } from "./failure.ts";
import { createListener, type Listener } from "./listener.ts";

export interface PostgresOptions {
	/** What `pg` takes: `{ connectionString }`, or host, port and so on. */
	readonly connection: PoolConfig;
	/** The schema of our tables, made when it is not there: fleets with the same one share logs. */
	readonly schema?: string;
	readonly retentionMs?: number;
	readonly maxPayloadBytes?: number;
}

/** An answer takes no longer, or its connection is given up. */
const TIMEOUT_MS = 4_000;
const SWEEP_MS = 60_000;
const SWEEP_ROWS = 20_000;
/** Envelope bytes in one page, unless its first entry alone is more. */
const PAGE_BYTES = 256 * 1024;

/** A log's epoch, the offset before its oldest entry, and its newest. */
interface Head {
	readonly epoch: string;
	readonly base: number;
	readonly last: number;
}

interface Running {
	readonly host: TransportHost;
	readonly pool: Pool;
	readonly listener: Listener;
	readonly sweeping: NodeJS.Timeout;
	readonly durability: Durability;
}

export function createPostgresTransport(options: PostgresOptions): Transport {
	const { schema = "fanout", retentionMs = 24 * 60 * 60 * 1000, maxPayloadBytes = 120 * 1024 } = options;
	if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
		throw new FanoutError("ConfigInvalid", "schema must be a name of at most 63 lower-case letters, digits and _");
	}
	const limits = { connectionTimeoutMillis: TIMEOUT_MS, query_timeout: TIMEOUT_MS, statement_timeout: TIMEOUT_MS };
	const config = { keepAlive: true, ...options.connection, ...limits, options: `-c search_path=${schema}` };
	const kept = `${retentionMs} milliseconds`;
	const followed = new Map<string, { readonly channel: Channel; readonly subscriber: Subscriber }>();
	let running: Running | undefined;
	let begun: Promise<void> | undefined;
	let closing: Promise<void> | undefined;

	const insist = (signal?: AbortSignal): Running => {
		if (closing !== undefined) throw new FanoutError("Closed", "the postgres transport is closed");
		if (running === undefined) throw notStarted();
		if (signal?.aborted) throw new FanoutError("Aborted", "the call was aborted", { cause: signal.reason });
		return running;
	};

	async function ask<Row>({ pool }: Running, what: string, text: string, values: unknown[]): Promise<Row[]> {
		let isSent = false;
		try {
			const client = await pool.connect();
			try {
				isSent = true;
				const { rows } = await client.query(text, values);
				client.release();
				return rows as Row[];
			} catch (error) {
				// Where no answer came in time, the next would wait behind it.
				client.release(true);
				throw error;
			}
		} catch (cause) {
			throw failureOf(cause, what, isSent);
		}
	}

	function entryOf({ host }: Running, channel: Channel, position: Position, text: string): Entry {
		try {
			const envelope = decodeEnvelope(text, channel);
			if (envelope.channel.key === channel.key) return { position, envelope };
			throw new FanoutError("InvalidEnvelope", "it is another channel's");
		} catch (cause) {
			// A place without an envelope is told as a gap; one that is left out is a hole that nothing fills.
			host.report({ kind: "error", error: asFanoutError(cause, "InvalidEnvelope", "an entry cannot be read") });
			return { position };
		}
	}

	/** `key epoch place envelope`: a key has no spaces. */
	function heard(payload: string): void {
		const [key = "", epoch = "", place = ""] = payload.split(" ", 3);
		const found = followed.get(key);
		if (found === undefined || running === undefined) return;
		const position = { epoch, offset: Number(place) };
		const text = payload.slice(key.length + epoch.length + place.length + 3);
		if (text === "") found.subscriber.suspect(position);
		else found.subscriber.entry(entryOf(running, found.channel, position, text));
	}

	async function endsOf(at: Running, channels: readonly Channel[]): Promise<Position[]> {
		const keys = channels.map(({ key }) => key);
		const rows = await ask<Position & { key: string }>(at, "no ends", "SELECT * FROM ends($1, $2)", [keys, kept]);
		const byKey = new Map(rows.map(({ key, epoch, offset }) => [key, { epoch, offset }]));
		return keys.map((key) => byKey.get(key) ?? BEGINNING);
	}

	async function pageOf(at: Running, { channel, from, limit }: Ask): Promise<Page> {
		const since = "sinceMs" in from ? from.sinceMs : 0;
		const { epoch, offset } = "offset" in from ? from : BEGINNING;
		const values = [channel.key, epoch, offset, new Date(since), limit, PAGE_BYTES];
		type Row = Head & { readonly place: number | null; readonly body: string };
		const rows = await ask<Row>(at, "no page", "SELECT * FROM page($1, $2, $3, $4, $5, $6)", values);
		const [head] = rows;
		if (head === undefined) return { channel, entries: [], more: false, verdict: offset > 0 ? "epoch" : "whole" };
		const entries = rows.flatMap(({ place, body }) =>
			place === null ? [] : [entryOf(at, channel, { epoch: head.epoch, offset: place }, body)],
		);
		const more = (entries.at(-1)?.position.offset ?? head.last) < head.last;
		const isOurs = (epoch === head.epoch || (epoch === BEGINNING.epoch && offset === 0)) && offset <= head.last;
		// All that is gone was older than `retentionMs`.
		const isGone = head.base > 0 && ("offset" in from ? offset < head.base : Date.now() - retentionMs > since);
		return { channel, entries, more, verdict: !isOurs ? "epoch" : isGone ? "retention" : "whole" };
	}

	/** In parts: all at once may take longer than an answer may. */
	async function sweep(): Promise<void> {
		const values = [kept, SWEEP_ROWS];
		const [done] = await ask<{ more: boolean }>(insist(), "old entries stay", "SELECT sweep($1, $2) AS more", values);
		if (done?.more) await sweep();
	}

	/** Makes the tables where there are none, and asks how well the server keeps what it accepts. */
	async function prepare(pool: Pool): Promise<Durability> {
		const tables = await readFile(new URL("./schema.sql", import.meta.url), "utf8");
		const client = await pool.connect();
		try {
			const one = async (text: string) => (await client.query(text)).rows[0].one;
			if ((await one("SELECT current_setting('server_encoding') AS one")) !== "UTF8") {
				throw new FanoutError("ConfigInvalid", "the database's encoding must be UTF8");
			}
			// One instance at a time: CREATE … IF NOT EXISTS races with itself.
			await client.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtext('${schema}'), 2)`);
			const isThere = await one(`SELECT to_regclass('${schema}.log') IS NOT NULL AS one`);
			if (!isThere) await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}; ${tables}`);
			await client.query("COMMIT");
			return await one("SELECT durability() AS one");
		} finally {
			client.release(true);
		}
	}

	async function begin(host: TransportHost, signal: AbortSignal): Promise<void> {
		if (closing !== undefined || running !== undefined) throw new FanoutError("Closed", "a transport starts once");
		const pool = new Pool(config);
		// Lost connections are told by the calls on them; an error that nobody listens for would end the process.
		pool.on("error", () => {}).on("connect", (client) => client.on("error", () => {}));
		const report = (error: unknown) =>
			closing === undefined && isFanoutError(error) && host.report({ kind: "error", error });
		const listener = createListener({
			config,
			topic: schema,
			heard,
			lost: ({ message }) => host.report({ kind: "disconnected", detail: message }),
			restored() {
				host.report({ kind: "connected" });
				for (const { subscriber } of followed.values()) subscriber.suspect();
			},
		});
		try {
			const durability = await prepare(pool);
			await listener.open();
			// Whoever asked may have gone, and ask again.
			if (closing !== undefined || signal.aborted) throw new FanoutError("Aborted", "the start was aborted");
			const sweeping = setInterval(() => sweep().catch(report), SWEEP_MS).unref();
			running = { host, pool, listener, durability, sweeping };
		} catch (cause) {
			listener.close();
			await pool.end();
			throw failureOf(cause, "postgres cannot be used");
		}
	}

	const refuse = (count: number, error: FanoutError): Outcome[] =>
		Array.from({ length: count }, () => ({ ok: false, uncertain: error.data.uncertain === true, error }));

	return {
		name: "postgres",
		place: `postgres/${schema}`,
		capabilities: {
			reach: "fleet",
			replay: true,
			// An id is known for as long as its entry is kept.
			dedupMs: retentionMs,
			endCheckMs: 1_000,
			retentionMs,
			batch: { count: 100, bytes: 1024 * 1024 },
			positionAtAccept: true,
			maxPayloadBytes,
		},
		start(host, signal) {
			begun = begin(host, signal);
			return begun;
		},
		async publish(channel, batch, _options, signal) {
			if (running === undefined && closing === undefined) return refuse(batch.length, notStarted());
			const at = insist(signal);
			const bad = batch.findIndex((envelope) => envelopeBytes(envelope) > maxPayloadBytes);
			const good = bad < 0 ? batch : batch.slice(0, bad);
			const bytes = bad < 0 ? 0 : envelopeBytes(batch[bad] as Envelope);
			const message = `an envelope of ${bytes} bytes, at most ${maxPayloadBytes} are accepted`;
			const tooLarge = new FanoutError("PayloadTooLarge", message, { data: { bytes, maxPayloadBytes } });
			const rest = refuse(batch.length - good.length, tooLarge);
			if (good.length === 0) return rest;
			const values = [channel.key, epochOf(randomInt(2 ** 32)), good.map(({ id }) => id), good.map(encodeEnvelope)];
			type Row = { readonly epoch: string; readonly place: number; readonly duplicate: boolean };
			try {
				const rows = await ask<Row>(at, "not accepted", "SELECT * FROM publish($1, $2, $3, $4)", values);
				const { durability } = at;
				const taken = rows.map(({ epoch, place, duplicate }): Outcome => {
					return { ok: true, position: { epoch, offset: place }, duplicate, durability, reach: "fleet" };
				});
				return [...taken, ...rest];
			} catch (error) {
				// Thrown, it would count as uncertain whatever it is.
				return refuse(batch.length, error as FanoutError);
			}
		},
		subscribe(channel, subscriber) {
			const follow = async (): Promise<Position> => {
				const at = insist();
				if (followed.has(channel.key)) throw new FanoutError("Unsupported", "a channel has one live subscription");
				followed.set(channel.key, { channel, subscriber });
				// The end is asked for after it: what comes between is in both, what came before is in the end.
				const [end] = await endsOf(at, [channel]);
				return end as Position;
			};
			const ready = follow();
			// Whoever waits for it sees it; whoever closed first must not bring the process down.
			ready.catch(() => {});
			const close = () => {
				if (followed.get(channel.key)?.subscriber === subscriber) followed.delete(channel.key);
			};
			return { ready, close };
		},
		async *read(asks, signal) {
			for (const each of asks) yield await pageOf(insist(signal), each);
		},
		ends: async (channels, signal) => endsOf(insist(signal), channels),
		close() {
			closing ??= (async () => {
				followed.clear();
				await begun?.catch(() => {});
				clearInterval(running?.sweeping);
				running?.listener.close();
				await running?.pool.end();
			})();
			return closing;
		},
	};
}
