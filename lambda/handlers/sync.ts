/** The sessions table's stream in this region: tells and forgets who follows a session that moved to another region. */
import type { DynamoDBBatchResponse, DynamoDBRecord, DynamoDBStreamEvent } from "aws-lambda";
import { createCell, createPostRound, type SyncRecord, sync } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

const recordOf = ({ dynamodb }: DynamoDBRecord): SyncRecord => ({
	sequence: dynamodb?.SequenceNumber ?? "",
	session: dynamodb?.NewImage?.session?.S,
	region: dynamodb?.NewImage?.region?.S,
	counter: Number(dynamodb?.NewImage?.counter?.N ?? Number.NaN),
	at: Number(dynamodb?.NewImage?.at?.N ?? Number.NaN),
});

export const handler = handle(async (event: DynamoDBStreamEvent, context): Promise<DynamoDBBatchResponse> => {
	const round = createPostRound(cell.clock, context.getRemainingTimeInMillis());
	const { region, home, log, connections, poster, clock, random, sendTo } = cell;
	const { failed, evicted } = await sync(
		{ region, home, log, connections, poster, clock, random, round, sendTo, report },
		event.Records.map(recordOf),
	);
	count("Evicted", evicted);
	return { batchItemFailures: failed === undefined ? [] : [{ itemIdentifier: failed }] };
});
