/** The shards queue's event source: posts to the end clients of one shard, at this worker's part of the budget. */
import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { createCell, createPostRound, deliverShards, type FailedMail } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

const mailOf = (record: SQSRecord): FailedMail => ({
	messageId: record.messageId,
	body: record.body,
	group: record.attributes.MessageGroupId ?? "",
	channel: record.messageAttributes.channel?.stringValue,
	receipt: record.receiptHandle,
	receives: Number(record.attributes.ApproximateReceiveCount) || 1,
});

export const handler = handle(async (event: SQSEvent, context): Promise<SQSBatchResponse> => {
	const round = createPostRound(cell.clock, context.getRemainingTimeInMillis(), cell.shardRate);
	const { log, connections, poster, clock, random } = cell;
	const { keepError, postponeShards: postpone } = cell.queues;
	const ports = { log, connections, poster, clock, random, round, report, keepError, postpone };
	const { failed, ...tally } = await deliverShards(ports, event.Records.map(mailOf));
	count("ShardPosts", tally.posts);
	count("ShardPassed", tally.passed);
	count("ConnectionsEnded", tally.ended);
	count("Unposted", tally.unposted);
	count("Undecodable", tally.undecodable);
	count("Uncopied", tally.uncopied);
	count("PutBack", failed.length);
	return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
});
