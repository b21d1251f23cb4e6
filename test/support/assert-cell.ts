/** Asserts what a green deploy can hide: TTL, replicas, FIFO attributes, event source settings. Names what is missing. */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DescribeTableCommand, DescribeTimeToLiveCommand } from "@aws-sdk/client-dynamodb";
import { type EventSourceMappingConfiguration, ListEventSourceMappingsCommand } from "@aws-sdk/client-lambda";
import { GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { GetQueueAttributesCommand, GetQueueUrlCommand } from "@aws-sdk/client-sqs";
import { ENV } from "mcp-fanout/env-names";
import { type Cell, type CellClients, functionOf } from "./cell.ts";
import { streamArnOf, TTL_ATTRIBUTE } from "./make-up.ts";

export async function assertCell(clients: CellClients, cell: Cell, regions: readonly string[]): Promise<void> {
	await Promise.all([
		assertTables(clients, cell, regions),
		assertMailbox(clients, cell),
		assertSources(clients, cell),
		assertSecret(clients, cell),
	]);
}

async function assertTables({ dynamo }: CellClients, cell: Cell, regions: readonly string[]): Promise<void> {
	const sessions = cell.environment[ENV.sessionsTable];
	for (const TableName of [sessions, cell.environment[ENV.logTable], cell.environment[ENV.connectionsTable]]) {
		const { TimeToLiveDescription: ttl } = await dynamo.send(new DescribeTimeToLiveCommand({ TableName }));
		strictEqual(ttl?.TimeToLiveStatus, "ENABLED", `TTL of ${TableName} in ${cell.region}`);
		strictEqual(ttl?.AttributeName, TTL_ATTRIBUTE, `TTL attribute of ${TableName} in ${cell.region}`);
	}
	const { Table } = await dynamo.send(new DescribeTableCommand({ TableName: sessions }));
	deepStrictEqual(
		new Set([cell.region, ...(Table?.Replicas ?? []).map((replica) => replica.RegionName)]),
		new Set(regions),
		`replicas of ${sessions} as ${cell.region} sees them`,
	);
	strictEqual(Table?.StreamSpecification?.StreamViewType, "NEW_AND_OLD_IMAGES", `stream of ${sessions}`);
}

async function assertMailbox({ sqs }: CellClients, cell: Cell): Promise<void> {
	const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: cell.environment[ENV.mailboxName] }));
	const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["All"] }));
	const { FifoQueue, DeduplicationScope, FifoThroughputLimit, ContentBasedDeduplication } = Attributes ?? {};
	deepStrictEqual(
		{ FifoQueue, DeduplicationScope, FifoThroughputLimit, dedup: ContentBasedDeduplication ?? "false" },
		{ FifoQueue: "true", DeduplicationScope: "messageGroup", FifoThroughputLimit: "perMessageGroupId", dedup: "false" },
		`mailbox of ${cell.region}`,
	);
}

async function assertSources(clients: CellClients, cell: Cell): Promise<void> {
	const { lambda, dynamo } = clients;
	const expected = {
		deliver: `:${cell.environment[ENV.mailboxName]}`,
		shard: `:${cell.environment[ENV.shardQueueUrl].split("/").at(-1)}`,
		relay: "-relay",
		sync: await streamArnOf(dynamo, cell.environment[ENV.sessionsTable]),
	};
	for (const [handler, arnEnd] of Object.entries(expected)) {
		const FunctionName = await functionOf(lambda, handler);
		const { EventSourceMappings } = await lambda.send(new ListEventSourceMappingsCommand({ FunctionName }));
		const sources: EventSourceMappingConfiguration[] = EventSourceMappings ?? [];
		const source = sources.find(({ EventSourceArn }) => EventSourceArn?.endsWith(arnEnd));
		ok(source, `${handler} of ${cell.region} reads ${arnEnd}`);
		deepStrictEqual(source.FunctionResponseTypes, ["ReportBatchItemFailures"], `${handler} of ${cell.region}`);
		ok(source.State === "Enabled" || source.State === "Creating", `${handler} of ${cell.region} is ${source.State}`);
	}
}

async function assertSecret({ secrets }: CellClients, cell: Cell): Promise<void> {
	const SecretId = cell.environment[ENV.ticketSecret];
	const { SecretString } = await secrets.send(new GetSecretValueCommand({ SecretId }));
	ok((SecretString?.length ?? 0) >= 32, `the ticket secret of ${cell.region} is readable there`);
}
