/**
 * The registry on DynamoDB. A table of its own, in one region (a global table would take the last writer's word):
 *   scope S (partition key)  `session/<namespace>/<tenant>`, or `instance/…` for terms; parts percent-encoded
 *   id S (sort key) · version S · text S · expiresAt N (TTL, epoch seconds; filtered on read, since TTL deletes late)
 * Every write is conditional on the version. A count reads every item of the scope. Watching polls the scope's
 * versions (DynamoDB has nothing to listen to here), so its cost is the scope's size every `watchMs`.
 */
import { type Channel, createChannel } from "../core/channel.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { asFanoutError, FanoutError } from "../core/errors.ts";
import {
	type AwsClients,
	aws,
	type Credentials,
	createAwsClients,
	type DynamoClient,
	isAwsError,
} from "../transports/aws/sdk.ts";
import { pollVersions } from "./poll.ts";
import { checkRetention, DEFAULT_RETENTION_MS } from "./retention.ts";
import type { Place, Scope, Store, StoredSession } from "./store.ts";

export const DEFAULT_WATCH_MS = 5_000;
/** For whoever makes the table. */
export const REGISTRY_TABLE = { partitionKey: "scope", sortKey: "id", timeToLiveAttribute: "expiresAt" } as const;

const NAMES = { "#version": "version", "#expiresAt": "expiresAt" };

export type DynamoStoreOptions = {
	readonly table: string;
	readonly clock?: Clock | undefined;
	readonly retentionMs?: number | undefined;
	readonly watchMs?: number | undefined;
	readonly onerror?: ((error: FanoutError) => void) | undefined;
} & (
	| { readonly client: DynamoClient; readonly region?: never }
	| {
			readonly region: string;
			readonly endpoint?: string | undefined;
			readonly credentials?: Credentials | undefined;
			readonly client?: never;
	  }
);

interface Item {
	readonly id: string;
	readonly version: string;
	readonly text: string;
	readonly expiresAt: number;
}

const part = encodeURIComponent;
const scopeOf = ({ namespace, tenant }: Scope, kind = "session") => `${kind}/${part(namespace)}/${part(tenant)}`;

export function createDynamoStore(options: DynamoStoreOptions): Store {
	const { table, clock = systemClock, watchMs = DEFAULT_WATCH_MS } = options;
	const retentionMs = checkRetention(options.retentionMs ?? DEFAULT_RETENTION_MS);
	let own: AwsClients | undefined;
	let client: DynamoClient | undefined = options.client;
	const polls = new Set<() => void>();
	let closing: Promise<void> | undefined;

	function dynamo(): DynamoClient {
		if (client !== undefined && closing === undefined) return client;
		throw new FanoutError("Closed", "the registry's client of DynamoDB is not open");
	}

	const seconds = () => Math.floor(clock.now() / 1000);
	const keyOf = (place: Place) => ({ scope: scopeOf(place, place.kind), id: part(place.id) });
	const sessionOf = (scope: Scope, id: string): Channel => createChannel("session", decodeURIComponent(id), scope);

	/**
	 * False when the condition did not hold. Where `written` stands it is the own write, whose answer was lost and which
	 * AWS's client sent again.
	 */
	async function conditionally(work: () => Promise<unknown>, written?: string): Promise<boolean> {
		try {
			await work();
			return true;
		} catch (error) {
			if (!isAwsError(error, "ConditionalCheckFailedException")) throw error;
			const { Item } = error as { readonly Item?: { readonly version?: { readonly S?: string } } };
			return written !== undefined && Item?.version?.S === written;
		}
	}

	async function query(scope: Scope, more: Record<string, unknown>, signal: AbortSignal) {
		const { names, ...rest } = more as { names?: Record<string, string> };
		const command = new aws.document.QueryCommand({
			TableName: table,
			ConsistentRead: true,
			KeyConditionExpression: "#scope = :scope",
			FilterExpression: "#expiresAt > :now",
			ExpressionAttributeNames: { "#scope": "scope", "#expiresAt": "expiresAt", ...names },
			ExpressionAttributeValues: { ":scope": scopeOf(scope), ":now": seconds() },
			...rest,
		});
		return dynamo().send(command, { abortSignal: signal });
	}

	async function versions(scope: Scope, signal: AbortSignal): Promise<Map<string, string>> {
		const found = new Map<string, string>();
		const names = { "#id": "id", "#version": "version" };
		for (let from: Record<string, unknown> | undefined, first = true; first || from !== undefined; first = false) {
			const ask = { names, ProjectionExpression: "#id, #version", ...(from && { ExclusiveStartKey: from }) };
			const { Items = [], LastEvaluatedKey } = await query(scope, ask, signal);
			for (const { id, version } of Items as Item[]) found.set(id, version);
			from = LastEvaluatedKey;
		}
		return found;
	}

	return {
		name: "dynamodb",
		retentionMs,
		async start(signal) {
			if (options.region !== undefined) {
				own = createAwsClients({
					region: options.region,
					endpoint: options.endpoint,
					credentials: options.credentials,
				});
				client = own.dynamo();
			}
			// By a read, which nothing is found by: what describes tables may fail while sessions can be read and written.
			const command = new aws.document.GetCommand({ TableName: table, Key: { scope: "-", id: "-" } });
			try {
				await dynamo().send(command, { abortSignal: signal });
			} catch (cause) {
				if (!isAwsError(cause, "ValidationException")) throw cause;
				const { message } = cause as Error;
				throw new FanoutError("ConfigInvalid", `the table ${table} has not the keys scope, id: ${message}`, { cause });
			}
		},
		async read(place, signal) {
			const command = new aws.document.GetCommand({ TableName: table, Key: keyOf(place), ConsistentRead: true });
			const item = (await dynamo().send(command, { abortSignal: signal })).Item as Item | undefined;
			if (item === undefined || item.expiresAt <= seconds()) return undefined;
			return { version: item.version, text: item.text };
		},
		async write(place, { version, text }, expected, signal) {
			const expiresAt = Math.ceil((clock.now() + retentionMs) / 1000);
			const absent = expected === undefined;
			const command = new aws.document.PutCommand({
				TableName: table,
				Item: { ...keyOf(place), version, text, expiresAt },
				ConditionExpression: absent ? "attribute_not_exists(#version) OR #expiresAt <= :now" : "#version = :version",
				ExpressionAttributeNames: absent ? NAMES : { "#version": "version" },
				ExpressionAttributeValues: absent ? { ":now": seconds() } : { ":version": expected.version },
				ReturnValuesOnConditionCheckFailure: "ALL_OLD",
			});
			const written = await conditionally(() => dynamo().send(command, { abortSignal: signal }), version);
			return written ? { version, text } : undefined;
		},
		async remove(place, expected, signal) {
			const command = new aws.document.DeleteCommand({
				TableName: table,
				Key: keyOf(place),
				ConditionExpression: "#version = :version",
				ExpressionAttributeNames: { "#version": "version" },
				ExpressionAttributeValues: { ":version": expected.version },
			});
			return conditionally(() => dynamo().send(command, { abortSignal: signal }));
		},
		async count(scope, signal) {
			let count = 0;
			for (let from: Record<string, unknown> | undefined, first = true; first || from !== undefined; first = false) {
				const ask = { Select: "COUNT", ...(from && { ExclusiveStartKey: from }) };
				const answer = await query(scope, ask, signal);
				count += answer.Count ?? 0;
				from = answer.LastEvaluatedKey;
			}
			return count;
		},
		async list(scope, limit, after, signal) {
			const rows: StoredSession[] = [];
			let from = after;
			for (;;) {
				const start = from === undefined ? {} : { ExclusiveStartKey: { scope: scopeOf(scope), id: from } };
				const { Items = [], LastEvaluatedKey } = await query(scope, { Limit: limit - rows.length, ...start }, signal);
				for (const { id, version, text } of Items as Item[]) {
					rows.push({ session: sessionOf(scope, id), version, text });
				}
				if (LastEvaluatedKey === undefined) return { rows };
				from = String(LastEvaluatedKey.id);
				if (rows.length >= limit) return { rows, next: from };
			}
		},
		async watch(scope, watcher, signal) {
			const before = await versions(scope, signal);
			const stop = pollVersions(clock, watchMs, before, {
				look: (inner) => versions(scope, inner),
				changed: (id) => watcher.changed(sessionOf(scope, id)),
				failed: (error) =>
					options.onerror?.(asFanoutError(error, "TransportUnavailable", "watching the registry's table failed", true)),
			});
			polls.add(stop);
			return {
				async close() {
					stop();
					polls.delete(stop);
				},
			};
		},
		rest: () => own?.rest(),
		close() {
			for (const stop of polls) stop();
			polls.clear();
			closing ??= Promise.resolve(own?.close());
			return closing;
		},
	};
}
