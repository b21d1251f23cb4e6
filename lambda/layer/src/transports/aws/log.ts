/**
 * A region's log: one table, one ordered run of rows per channel, dense from 1 within an epoch. The epoch is copied
 * from row to row, so a log whose rows are all gone starts a new one. Appends are conditional: two writers never make
 * one row, and an id in the recent tail keeps the row it has. Reads are strongly consistent and skip expired rows.
 */
import { parseChannel } from "../../core/channel.ts";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { BEGINNING, epochOf, type Position, samePosition } from "../../core/position.ts";
import type { Ask, Page, Verdict } from "../../core/transport.ts";
import { baseOf, decodeEntry, entryOf, positionOf, type Row } from "./log-row.ts";
import { aws, type DynamoClient, isAwsError } from "./sdk.ts";
import type { WireEntry } from "./wire.ts";

/** How far back an append looks for its ids: more than one queue batch, so that a repeated batch is recognised. */
export const TAIL_LIMIT = 25;
/** Lost races for the next row in one append before it gives up (and its queue offers the batch again). */
export const MAX_APPEND_RACES = 20;
export const DEFAULT_RETENTION_SECONDS = 24 * 60 * 60;
/** What processes tell each other is of use for moments; kept longer only so that a quiet hour is no new epoch. */
export const CONTROL_RETENTION_SECONDS = 60 * 60;
/** Of a retention: a row that another clock appends meanwhile must not expire before the one that is kept on. */
const KEPT_SHARE = 0.9;

export interface LogOptions {
	readonly table: string;
	readonly dynamo: DynamoClient;
	readonly retentionSeconds: number;
	readonly clock: Clock;
	/** An unsigned 32-bit random integer, for new epochs. */
	readonly random32: () => number;
}

export interface LogItem {
	readonly id: string;
	/** Envelope JSON; absent makes a gap row. */
	readonly text?: string | undefined;
}

export interface LogRow extends WireEntry {
	readonly id: string;
	/** False when the row was there before. */
	readonly appended: boolean;
}

export interface RowPage {
	readonly entries: readonly WireEntry[];
	readonly more: boolean;
	readonly verdict: Verdict;
}

export interface Log {
	/**
	 * The end, for whoever follows from here on; BEGINNING when the log has no row. Its row is kept on when half of its time
	 * is over: a channel that is followed and quiet for longer than rows are kept has no new epoch.
	 */
	end(channelKey: string): Promise<Position>;
	/** The items' rows, in order, once all of them are in the log. */
	append(channelKey: string, items: readonly LogItem[], signal?: AbortSignal): Promise<LogRow[]>;
	read(ask: Ask, signal?: AbortSignal): Promise<Page>;
	/** The same with envelopes as text, for handing on. */
	rows(channelKey: string, from: Ask["from"], limit: number, signal?: AbortSignal): Promise<RowPage>;
	/** The newest row's position; BEGINNING when the log has none. */
	newest(channelKey: string, signal?: AbortSignal): Promise<Position>;
}

export function createLog(options: LogOptions): Log {
	const { table, dynamo, clock } = options;
	const retentionOf = (key: string): number =>
		parseChannel(key).kind === "instance"
			? Math.min(CONTROL_RETENTION_SECONDS, options.retentionSeconds)
			: options.retentionSeconds;
	const isLive = (row: Row): boolean => row.expiresAt * 1000 > clock.now();

	async function query(
		key: string,
		range: "all" | { readonly after: number } | { readonly before: number },
		limit: number,
		{ newestFirst = false, whole = true, signal = undefined as AbortSignal | undefined } = {},
	): Promise<{ rows: Row[]; more: boolean }> {
		const bound =
			range === "all" ? undefined : "after" in range ? { is: ">", n: range.after } : { is: "<", n: range.before };
		const command = new aws.document.QueryCommand({
			TableName: table,
			ConsistentRead: true,
			ScanIndexForward: !newestFirst,
			Limit: limit,
			KeyConditionExpression: `channel = :key${bound === undefined ? "" : ` AND n ${bound.is} :n`}`,
			ExpressionAttributeValues: bound === undefined ? { ":key": key } : { ":key": key, ":n": bound.n },
			...(whole
				? {}
				: {
						ProjectionExpression: "n, epoch, id, #at, expiresAt, startsAfter",
						ExpressionAttributeNames: { "#at": "at" },
					}),
		});
		const answer = await dynamo.send(command, signal === undefined ? {} : { abortSignal: signal });
		return { rows: (answer.Items ?? []) as Row[], more: answer.LastEvaluatedKey !== undefined };
	}

	/** A query reads 1 MB at most, whatever it returns of it: ten rows of the largest envelopes are two queries. */
	async function newestRows(key: string, limit: number, signal?: AbortSignal): Promise<Row[]> {
		const found: Row[] = [];
		for (let before: number | undefined, more = true; more && found.length < limit; ) {
			const range = before === undefined ? "all" : { before };
			const page = await query(key, range, limit - found.length, { newestFirst: true, whole: false, signal });
			found.push(...page.rows);
			before = page.rows.at(-1)?.n;
			more = page.more && before !== undefined;
		}
		return found;
	}

	/** The first row after `low` that satisfies a condition which, once true, stays true up to `high`. */
	async function seek(key: string, low: number, high: number, holds: (row: Row) => boolean, signal?: AbortSignal) {
		let found: Row | undefined;
		let [from, to] = [low, high];
		while (from < to) {
			const middle = Math.floor((from + to) / 2);
			const { rows } = await query(key, { after: middle }, 1, { whole: false, signal });
			const row = rows[0];
			if (row === undefined || row.n > high) to = middle;
			else if (holds(row)) {
				found = row;
				to = middle;
			} else from = row.n;
		}
		return found;
	}

	/** The oldest row that is kept of the newest row's epoch. */
	async function oldestRow(key: string, newest: Row, signal?: AbortSignal): Promise<Row> {
		const { rows } = await query(key, { after: baseOf(newest) }, 1, { whole: false, signal });
		const first = rows[0];
		if (first !== undefined && isLive(first)) return first;
		return (await seek(key, baseOf(newest), newest.n, isLive, signal)) ?? newest;
	}

	async function rows(key: string, from: Ask["from"], limit: number, signal?: AbortSignal): Promise<RowPage> {
		const since = "sinceMs" in from ? from.sinceMs : undefined;
		const position = "sinceMs" in from ? undefined : from;
		const page = async (after: number): Promise<{ kept: Row[]; more: boolean }> => {
			const { rows: found, more } = await query(key, { after }, limit + 1, { signal });
			return { kept: found.slice(0, limit), more: more || found.length > limit };
		};
		const answer = ({ kept, more }: { kept: Row[]; more: boolean }, verdict: Verdict): RowPage => ({
			entries: kept.map(entryOf),
			more,
			verdict,
		});
		if (position !== undefined && !samePosition(position, BEGINNING)) {
			// The usual case in one query: the log goes on after the position, in its own epoch.
			const next = await page(position.offset);
			const first = next.kept[0];
			if (first !== undefined && first.epoch === position.epoch && baseOf(first) === 0 && isLive(first)) {
				return answer(next, first.n === position.offset + 1 ? "whole" : "retention");
			}
		}
		const newest = (await newestRows(key, 1, signal))[0];
		const none = { kept: [], more: false };
		if (newest === undefined) {
			return answer(none, position === undefined || samePosition(position, BEGINNING) ? "whole" : "epoch");
		}
		const end = positionOf(newest);
		const fromStart = position === undefined || samePosition(position, BEGINNING);
		const isForeign = !fromStart && (position.epoch !== end.epoch || position.offset > end.offset);
		if (!isForeign && position !== undefined && position.offset === end.offset) return answer(none, "whole");
		if (!isLive(newest)) return answer(none, isForeign ? "epoch" : since === undefined ? "retention" : "whole");

		const oldest = await oldestRow(key, newest, signal);
		const firstKept = positionOf(oldest).offset;
		if (since !== undefined) {
			const start = oldest.at >= since ? oldest : await seek(key, oldest.n, newest.n, (row) => row.at >= since, signal);
			const isCut = firstKept > 1 && since < clock.now() - options.retentionSeconds * 1000;
			return answer(start === undefined ? none : await page(start.n - 1), isCut ? "retention" : "whole");
		}
		const wanted = isForeign || position === undefined ? 0 : position.offset;
		const after = wanted + 1 > firstKept ? baseOf(newest) + wanted : oldest.n - 1;
		const verdict = isForeign ? "epoch" : firstKept > wanted + 1 ? "retention" : "whole";
		return answer(await page(after), verdict);
	}

	async function keepOn(key: string, { n, expiresAt }: Row, until: number): Promise<void> {
		const command = new aws.document.UpdateCommand({
			TableName: table,
			Key: { channel: key, n },
			UpdateExpression: "SET expiresAt = :until",
			ConditionExpression: "expiresAt = :known",
			ExpressionAttributeValues: { ":until": Math.floor(until), ":known": expiresAt },
		});
		try {
			await dynamo.send(command);
		} catch (error) {
			// Another follower was faster.
			if (!isAwsError(error, "ConditionalCheckFailedException")) throw error;
		}
	}

	return {
		rows,
		async end(key) {
			const [now, seconds] = [Math.floor(clock.now() / 1000), retentionOf(key)];
			const newest = (await newestRows(key, 1))[0];
			if (newest === undefined) return BEGINNING;
			if (isLive(newest) && newest.expiresAt - now < seconds / 2) await keepOn(key, newest, now + KEPT_SHARE * seconds);
			return positionOf(newest);
		},
		async append(key, items, signal) {
			let known = await newestRows(key, TAIL_LIMIT, signal);
			const retentionSeconds = retentionOf(key);
			let races = 0;
			const appended: LogRow[] = [];
			for (const item of items) {
				for (;;) {
					const newest = known[0];
					const goesOn = newest !== undefined && isLive(newest);
					const held = known.find((row) => row.id === item.id && row.epoch === newest?.epoch && isLive(row));
					if (held !== undefined) {
						appended.push({ ...entryOf(held), text: item.text, id: item.id, appended: false });
						break;
					}
					const now = clock.now();
					const row: Row = {
						n: (newest?.n ?? 0) + 1,
						epoch: goesOn ? newest.epoch : epochOf(options.random32()),
						id: item.id,
						// Neither may run backwards along the log, whatever the writers' clocks say: both are searched in halves.
						at: goesOn ? Math.max(now, newest.at) : now,
						expiresAt: Math.max(Math.ceil(now / 1000) + retentionSeconds, goesOn ? newest.expiresAt : 0),
						...(item.text === undefined ? {} : { env: item.text }),
						...(goesOn
							? baseOf(newest) > 0
								? { startsAfter: baseOf(newest) }
								: {}
							: newest
								? { startsAfter: newest.n }
								: {}),
					};
					try {
						const command = new aws.document.PutCommand({
							TableName: table,
							Item: { channel: key, ...row },
							ConditionExpression: "attribute_not_exists(n)",
						});
						await dynamo.send(command, signal === undefined ? {} : { abortSignal: signal });
					} catch (error) {
						if (!isAwsError(error, "ConditionalCheckFailedException")) throw error;
						races += 1;
						if (races > MAX_APPEND_RACES) {
							throw new FanoutError("TransportUnavailable", `lost ${races} races for the next row of a log`, {
								cause: error,
								retryable: true,
							});
						}
						known = await newestRows(key, TAIL_LIMIT, signal);
						continue;
					}
					known = [row, ...known];
					appended.push({ ...entryOf(row), id: item.id, appended: true });
					break;
				}
			}
			return appended;
		},
		async read(ask, signal) {
			const page = await rows(ask.channel.key, ask.from, ask.limit, signal);
			return { channel: ask.channel, entries: page.entries.map(decodeEntry), more: page.more, verdict: page.verdict };
		},
		async newest(key, signal) {
			const [newest] = await newestRows(key, 1, signal);
			return newest === undefined ? BEGINNING : positionOf(newest);
		},
	};
}
