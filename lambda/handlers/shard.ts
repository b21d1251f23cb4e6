/** The shards queue's event source: posts to the end clients of one shard, at this worker's part of the budget. */
import type { SQSBatchResponse, SQSEvent } from "aws-lambda";
import { createCell, createPostRound, deliverShards } from "mcp-fanout/transports/aws/cell";
import { mailOf, stuckOf } from "./mail.ts";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

export const handler = handle(async (event: SQSEvent, context): Promise<SQSBatchResponse> => {
	const round = createPostRound(cell.clock, context.getRemainingTimeInMillis(), cell.shardRate);
	const { log, connections, poster, clock, random } = cell;
	const { keepError, postponeShards: postpone } = cell.queues;
	const ports = { log, connections, poster, clock, random, round, report, keepError, postpone };
	const mail = event.Records.map(mailOf);
	const { failed, ...tally } = await deliverShards(ports, mail);
	count("ShardPosts", tally.posts);
	count("ShardPassed", tally.passed);
	count("ConnectionsEnded", tally.ended);
	count("Unposted", tally.unposted);
	count("Undecodable", tally.undecodable);
	count("Uncopied", tally.uncopied);
	count("PutBack", failed.length);
	count("Stuck", stuckOf(mail, failed));
	return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
});
