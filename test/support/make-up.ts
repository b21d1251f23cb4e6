/**
 * What the emulator's CloudFormation deploys green and leaves out, made up by documented calls: TTL on every table,
 * replicas of the sessions table, and the event sources on its streams. Idempotent, so that an emulator that does one
 * of these itself is left as it is.
 */
import {
	DescribeTableCommand,
	DescribeTimeToLiveCommand,
	type DynamoDBClient,
	UpdateTableCommand,
	UpdateTimeToLiveCommand,
} from "@aws-sdk/client-dynamodb";
import {
	CreateEventSourceMappingCommand,
	type LambdaClient,
	ListEventSourceMappingsCommand,
} from "@aws-sdk/client-lambda";
import { SYNC_SOURCE } from "../../lib/parts/sync-source.ts";

export const TTL_ATTRIBUTE = "expiresAt";

export async function enableTtl(client: DynamoDBClient, table: string): Promise<void> {
	const { TimeToLiveDescription: ttl } = await client.send(new DescribeTimeToLiveCommand({ TableName: table }));
	// AWS refuses to enable what is enabled.
	if (ttl?.TimeToLiveStatus === "ENABLED") return;
	await client.send(
		new UpdateTimeToLiveCommand({
			TableName: table,
			TimeToLiveSpecification: { AttributeName: TTL_ATTRIBUTE, Enabled: true },
		}),
	);
}

export async function addReplicas(primary: DynamoDBClient, table: string, regions: readonly string[]): Promise<void> {
	const { Table } = await primary.send(new DescribeTableCommand({ TableName: table }));
	const have = new Set(Table?.Replicas?.map((replica) => replica.RegionName));
	for (const region of regions.filter((name) => !have.has(name))) {
		// One at a time: AWS takes one replica change per update.
		await primary.send(
			new UpdateTableCommand({ TableName: table, ReplicaUpdates: [{ Create: { RegionName: region } }] }),
		);
	}
}

export async function streamArnOf(client: DynamoDBClient, table: string): Promise<string> {
	const { Table } = await client.send(new DescribeTableCommand({ TableName: table }));
	if (Table?.LatestStreamArn === undefined) throw new Error(`table ${table} has no stream`);
	return Table.LatestStreamArn;
}

export async function addSyncSource(
	client: LambdaClient,
	functionName: string,
	streamArn: string,
	region: string,
): Promise<void> {
	const { EventSourceMappings: sources } = await client.send(
		new ListEventSourceMappingsCommand({ FunctionName: functionName }),
	);
	if (sources?.some((source) => source.EventSourceArn === streamArn)) return;
	await client.send(
		new CreateEventSourceMappingCommand({
			FunctionName: functionName,
			EventSourceArn: streamArn,
			StartingPosition: SYNC_SOURCE.startingPosition,
			BatchSize: SYNC_SOURCE.batchSize,
			BisectBatchOnFunctionError: true,
			MaximumRecordAgeInSeconds: SYNC_SOURCE.maxRecordAgeSeconds,
			FunctionResponseTypes: ["ReportBatchItemFailures"],
			FilterCriteria: { Filters: [{ Pattern: JSON.stringify(SYNC_SOURCE.filter(region)) }] },
		}),
	);
}
