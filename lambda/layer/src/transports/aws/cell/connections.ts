/**
 * Who is connected here, and who follows what. Three kinds of rows: a connection's own, its channels (so that they
 * can be removed with it), and a channel's connections, which deliver reads by one strongly consistent query.
 * Rows outlive no connection: API Gateway cuts at two hours. A client's channel rows end with its ticket.
 */
import { type Clock, pause } from "../../../core/clock.ts";
import { FanoutError } from "../../../core/errors.ts";
import { aws, type DynamoClient } from "../sdk.ts";
import { type Claims, parseClaims } from "../ticket.ts";

export type Api = "backend" | "client";

/** API Gateway's two hours and a margin. */
export const CONNECTION_SECONDS = 2 * 60 * 60 + 10 * 60;
const WRITE_BATCH = 25;
const MAX_WRITE_ROUNDS = 6;
/** A popular channel is one partition, of 1,000 writes a second: what it did not take is offered later, not at once. */
const WRITE_RETRY_MS = 50;

export interface Connection {
	readonly id: string;
	readonly api: Api;
}

export interface Follower extends Connection {
	/** Its ticket has ended: it is told, and gets nothing more. */
	readonly isExpired: boolean;
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
	/** Strongly consistent: whoever follows when this is called is in it. */
	of(channelKey: string): Promise<Follower[]>;
	/** The connection and all its channels. */
	remove(id: string): Promise<void>;
}

type Item = Record<string, unknown> & { readonly pk: string; readonly sk: string };
type Write = { PutRequest: { Item: Item } } | { DeleteRequest: { Key: { pk: string; sk: string } } };

const connectionKey = (id: string) => `connection#${id}`;
const channelKeyOf = (key: string) => `channel#${key}`;
const put = (item: Item): Write => ({ PutRequest: { Item: item } });
const drop = (pk: string, sk: string): Write => ({ DeleteRequest: { Key: { pk, sk } } });

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
				left = ((await dynamo.send(command)).UnprocessedItems?.[table] ?? []) as Write[];
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

	const channelsOf = async (id: string): Promise<string[]> =>
		(await queryAll(connectionKey(id), "channel#")).map(({ sk }) => sk.slice("channel#".length));

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

	async function follow({ id, api, claims, expiresAt }: ConnectionMeta, channelKeys: readonly string[]) {
		const end = Math.min(expiresAt, claims?.expiresAt ?? expiresAt);
		// The connection's side first: a crash in between leaves nothing that removal would not find.
		await writeAll(channelKeys.map((key) => put({ pk: connectionKey(id), sk: channelKeyOf(key), expiresAt })));
		await writeAll(channelKeys.map((key) => put({ pk: channelKeyOf(key), sk: id, api, expiresAt: end })));
	}

	async function unfollow(id: string, channelKeys: readonly string[]): Promise<void> {
		await writeAll(channelKeys.map((key) => drop(channelKeyOf(key), id)));
		await writeAll(channelKeys.map((key) => drop(connectionKey(id), channelKeyOf(key))));
	}

	return {
		follow,
		unfollow,
		async open(connection, claims) {
			const Item = metaItem(connection, seconds() + CONNECTION_SECONDS, claims);
			await dynamo.send(new aws.document.PutCommand({ TableName: table, Item }));
		},
		async meta(id) {
			const key = { pk: connectionKey(id), sk: "meta" };
			const command = new aws.document.GetCommand({ TableName: table, ConsistentRead: true, Key: key });
			const { Item: item } = await dynamo.send(command);
			if (item === undefined || item.expiresAt <= seconds()) return undefined;
			const meta = { id, api: item.api === "backend" ? "backend" : "client", expiresAt: item.expiresAt } as const;
			const claims = parseClaims(item.claims);
			return claims === undefined ? meta : { ...meta, claims };
		},
		async renew(connection, claims) {
			const followed = await channelsOf(connection.id);
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
		async of(channelKey) {
			const items = await queryAll(channelKeyOf(channelKey));
			return items.map(({ sk, api, expiresAt }) => ({
				id: sk,
				api: api === "backend" ? "backend" : "client",
				isExpired: Number(expiresAt) <= seconds(),
			}));
		},
		async remove(id) {
			await unfollow(id, await channelsOf(id));
			await writeAll([drop(connectionKey(id), "meta")]);
		},
	};
}
