/**
 * Who is connected here, and who follows what. A connection's own row; its channels, each with where it follows, so that
 * they are removed with it; and a channel's followers, which one strongly consistent query reads. End clients of a
 * broadcast channel stand in their shard's partition, and a row of the channel says that the shard is followed in.
 * Rows outlive no connection: API Gateway cuts at two hours. A client's follower rows end with its ticket.
 */
import { type Clock, pause } from "../../../core/clock.ts";
import { FanoutError } from "../../../core/errors.ts";
import { formatPosition, type Position, parsePosition } from "../../../core/position.ts";
import { aws, type DynamoClient, isAwsError } from "../sdk.ts";
import { type Claims, parseClaims } from "../ticket.ts";
import { isSharded, shardKeyOf, shardOf } from "./shard.ts";

export type Api = "backend" | "client";

/** API Gateway's two hours and a margin. */
export const CONNECTION_SECONDS = 2 * 60 * 60 + 10 * 60;
/**
 * How long a shard counts as followed in: its row is written an hour ahead of need, for in a channel's one partition
 * there is no room for a write by every subscribe. It is never removed: another client may just have relied on it.
 */
export const SHARD_SECONDS = CONNECTION_SECONDS + 60 * 60;
/** Pages that one principal, or a connection without one, may read in a minute: a page costs up to a megabyte of reads. */
export const MAX_READS_PER_MINUTE = 300;
const WRITE_BATCH = 25;
const MAX_WRITE_ROUNDS = 6;
/** A popular channel is one partition, of 1,000 writes a second: what it did not take is offered later, not at once. */
const WRITE_RETRY_MS = 50;
/**
 * What DynamoDB says instead of handing rows back when it took none of a batch.
 * https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
 */
const TOOK_NONE = ["ThrottlingException", "ProvisionedThroughputExceededException"];

export interface Connection {
	readonly id: string;
	readonly api: Api;
}

export interface Follower extends Connection {
	/** Its ticket has ended: it is told, and gets nothing more. */
	readonly isExpired: boolean;
}

export interface Audience {
	readonly followers: readonly Follower[];
	/** Those that somebody follows in, or did in the last hours. */
	readonly shards: readonly number[];
}

export interface ConnectionMeta extends Connection {
	readonly claims?: Claims;
	readonly expiresAt: number;
}

export interface ConnectionsOptions {
	readonly table: string;
	readonly dynamo: DynamoClient;
	readonly clock: Clock;
}

export interface Connections {
	open(connection: Connection, claims?: Claims): Promise<void>;
	meta(id: string): Promise<ConnectionMeta | undefined>;
	/** New claims, and the new end of every channel row; refused when the claims lack a channel that is followed. */
	renew(connection: ConnectionMeta, claims: Claims): Promise<void>;
	follow(connection: ConnectionMeta, channelKeys: readonly string[]): Promise<void>;
	unfollow(id: string, channelKeys: readonly string[]): Promise<void>;
	/** Counts a page that is about to be read, over all connections of a principal; throws beyond the bound. */
	countRead(connection: ConnectionMeta): Promise<void>;
	/** Strongly consistent: whoever follows when this is called is in it, or is in one of its shards. */
	of(channelKey: string): Promise<Audience>;
	/** The same of one shard. */
	ofShard(channelKey: string, shard: number): Promise<Follower[]>;
	/** How far a shard was posted to, if that is known. */
	posted(channelKey: string, shard: number): Promise<Position | undefined>;
	markPosted(channelKey: string, shard: number, position: Position): Promise<void>;
	/** The connection and all its channels. */
	remove(id: string): Promise<void>;
}

type Item = Record<string, unknown> & { readonly pk: string; readonly sk: string };
type Write = { PutRequest: { Item: Item } } | { DeleteRequest: { Key: { pk: string; sk: string } } };

const connectionKey = (id: string) => `connection#${id}`;
const channelKeyOf = (key: string) => `channel#${key}`;
const markKey = (key: string, shard: number) => ({ pk: `posted#${shard}#${key}`, sk: "posted" });
const put = (item: Item): Write => ({ PutRequest: { Item: item } });
const remove = (pk: string, sk: string): Write => ({ DeleteRequest: { Key: { pk, sk } } });

export function createConnections({ table, dynamo, clock }: ConnectionsOptions): Connections {
	const seconds = () => Math.floor(clock.now() / 1000);

	async function writeAll(writes: readonly Write[]): Promise<void> {
		for (let at = 0; at < writes.length; at += WRITE_BATCH) {
			let left: Write[] = writes.slice(at, at + WRITE_BATCH);
			for (let round = 0; left.length > 0; round += 1) {
				if (round === MAX_WRITE_ROUNDS) {
					throw new FanoutError("TransportUnavailable", "the connections table did not take all rows", {
						retryable: true,
						data: { left: left.length },
					});
				}
				if (round > 0) await pause(clock, WRITE_RETRY_MS * 2 ** (round - 1));
				const command = new aws.document.BatchWriteCommand({ RequestItems: { [table]: left } });
				try {
					left = ((await dynamo.send(command)).UnprocessedItems?.[table] ?? []) as Write[];
				} catch (error) {
					if (!isAwsError(error, ...TOOK_NONE)) throw error;
				}
			}
		}
	}

	async function queryAll(pk: string, prefix = ""): Promise<Item[]> {
		const items: Item[] = [];
		let start: Record<string, unknown> | undefined;
		do {
			const command = new aws.document.QueryCommand({
				TableName: table,
				ConsistentRead: true,
				KeyConditionExpression: prefix === "" ? "pk = :pk" : "pk = :pk AND begins_with(sk, :prefix)",
				ExpressionAttributeValues: prefix === "" ? { ":pk": pk } : { ":pk": pk, ":prefix": prefix },
				...(start === undefined ? {} : { ExclusiveStartKey: start }),
			});
			const answer = await dynamo.send(command);
			items.push(...((answer.Items ?? []) as Item[]));
			start = answer.LastEvaluatedKey;
		} while (start !== undefined);
		return items;
	}

	async function get(key: { pk: string; sk: string }, ConsistentRead: boolean): Promise<Item | undefined> {
		const command = new aws.document.GetCommand({ TableName: table, ConsistentRead, Key: key });
		const { Item: item } = await dynamo.send(command);
		return item === undefined || item.expiresAt <= seconds() ? undefined : (item as Item);
	}

	/** Its channels, and the partition in which it follows each. */
	const followedBy = async (id: string): Promise<{ key: string; at: string }[]> =>
		(await queryAll(connectionKey(id), "channel#")).map(({ sk, at }) => ({
			key: sk.slice("channel#".length),
			at: String(at ?? sk), // rows of before there were shards name no place
		}));

	const followerOf = ({ sk, api, expiresAt }: Item): Follower => ({
		id: sk,
		api: api === "backend" ? "backend" : "client",
		isExpired: Number(expiresAt) <= seconds(),
	});

	function metaItem(connection: Connection, expiresAt: number, claims: Claims | undefined): Item {
		const item = {
			pk: connectionKey(connection.id),
			sk: "meta",
			api: connection.api,
			connectedAt: clock.now(),
			expiresAt,
		};
		return claims === undefined ? item : { ...item, claims: JSON.stringify(claims) };
	}

	/** The row that says that a shard is followed in, where it is not there for long enough. */
	async function presenceOf(key: string, shard: number, until: number): Promise<Write[]> {
		const row = { pk: channelKeyOf(key), sk: `shard#${shard}` };
		// An old copy does: rows only ever end later.
		const known = await get(row, false);
		if (Number(known?.expiresAt ?? 0) >= until) return [];
		return [put({ ...row, shard, expiresAt: seconds() + SHARD_SECONDS })];
	}

	async function follow({ id, api, claims, expiresAt }: ConnectionMeta, channelKeys: readonly string[]) {
		const end = Math.min(expiresAt, claims?.expiresAt ?? expiresAt);
		const shard = shardOf(id);
		const sharded = channelKeys.filter((key) => isSharded(api, key));
		const placeOf = (key: string) => (sharded.includes(key) ? shardKeyOf(key, shard) : channelKeyOf(key));
		const presences = await Promise.all(sharded.map((key) => presenceOf(key, shard, expiresAt)));
		// The connection's side first: a crash in between leaves nothing that removal would not find.
		const own = channelKeys.map((key) => ({
			pk: connectionKey(id),
			sk: channelKeyOf(key),
			at: placeOf(key),
			expiresAt,
		}));
		await writeAll(own.map(put));
		const follower = channelKeys.map((key) => put({ pk: placeOf(key), sk: id, api, expiresAt: end }));
		await writeAll([...presences.flat(), ...follower]);
	}

	async function drop(id: string, followed: readonly { key: string; at: string }[]): Promise<void> {
		await writeAll(followed.map(({ at }) => remove(at, id)));
		await writeAll(followed.map(({ key }) => remove(connectionKey(id), channelKeyOf(key))));
	}

	return {
		follow,
		async unfollow(id, channelKeys) {
			if (channelKeys.length === 0) return;
			await drop(
				id,
				(await followedBy(id)).filter(({ key }) => channelKeys.includes(key)),
			);
		},
		async open(connection, claims) {
			const Item = metaItem(connection, seconds() + CONNECTION_SECONDS, claims);
			await dynamo.send(new aws.document.PutCommand({ TableName: table, Item }));
		},
		async meta(id) {
			const item = await get({ pk: connectionKey(id), sk: "meta" }, true);
			if (item === undefined) return undefined;
			const api = item.api === "backend" ? "backend" : "client";
			const meta = { id, api, expiresAt: Number(item.expiresAt) } as const;
			const claims = parseClaims(item.claims);
			return claims === undefined ? meta : { ...meta, claims };
		},
		async renew(connection, claims) {
			const followed = (await followedBy(connection.id)).map(({ key }) => key);
			// Dropping one here would leave a stream that waits for nothing; refused, it ends with its old ticket, and is told.
			if (followed.some((key) => !claims.channels.includes(key))) {
				throw new FanoutError(
					"TicketInvalid",
					"a renewed ticket names every channel that is followed: unsubscribe first",
				);
			}
			await dynamo.send(
				new aws.document.PutCommand({ TableName: table, Item: metaItem(connection, connection.expiresAt, claims) }),
			);
			await follow({ ...connection, claims }, followed);
		},
		async countRead({ id, claims }) {
			const who = claims?.principal === undefined ? ["connection", id] : ["principal", claims.tenant, claims.principal];
			const minute = Math.floor(seconds() / 60);
			const command = new aws.document.UpdateCommand({
				TableName: table,
				Key: { pk: `reads#${JSON.stringify(who)}`, sk: `minute#${minute}` },
				UpdateExpression: "SET expiresAt = :end ADD pages :one",
				ConditionExpression: "attribute_not_exists(pages) OR pages < :most",
				ExpressionAttributeValues: { ":end": (minute + 2) * 60, ":one": 1, ":most": MAX_READS_PER_MINUTE },
			});
			try {
				await dynamo.send(command);
			} catch (cause) {
				if (!isAwsError(cause, "ConditionalCheckFailedException")) throw cause;
				const message = `${MAX_READS_PER_MINUTE} pages were read this minute, the most accepted of one principal`;
				const data = { maxReadsPerMinute: MAX_READS_PER_MINUTE };
				throw new FanoutError("TransportRefused", message, { cause, retryable: true, data });
			}
		},
		async of(channelKey) {
			const items = await queryAll(channelKeyOf(channelKey));
			const shards = items.filter(({ shard, expiresAt }) => shard !== undefined && Number(expiresAt) > seconds());
			return {
				followers: items.filter(({ shard }) => shard === undefined).map(followerOf),
				shards: shards.map(({ shard }) => Number(shard)),
			};
		},
		ofShard: async (channelKey, shard) => (await queryAll(shardKeyOf(channelKey, shard))).map(followerOf),
		async posted(channelKey, shard) {
			const mark = await get(markKey(channelKey, shard), true);
			return mark && parsePosition(mark.position);
		},
		async markPosted(channelKey, shard, position) {
			const mark = { ...markKey(channelKey, shard), position: formatPosition(position) };
			await writeAll([put({ ...mark, expiresAt: seconds() + CONNECTION_SECONDS })]);
		},
		async remove(id) {
			await drop(id, await followedBy(id));
			await writeAll([remove(connectionKey(id), "meta")]);
		},
	};
}
