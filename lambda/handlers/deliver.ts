/** The mailbox's event source: into the log, then to the connections. Failed groups come again, in order and soon. */
import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { createCell, createPostRound, deliver, type MailRecord } from "mcp-fanout/transports/aws/cell";
import { mailOf, stuckOf } from "./mail.ts";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

const recordOf = (record: SQSRecord): MailRecord => ({
	...mailOf(record),
	via: record.messageAttributes.via?.stringValue?.split(",") ?? [],
});

export const handler = handle(async (event: SQSEvent, context): Promise<SQSBatchResponse> => {
	const round = createPostRound(cell.clock, context.getRemainingTimeInMillis());
	const { log, connections, poster, clock, random, queues, region, home, sendTo, detour } = cell;
	const { keepError, postpone, sendShards } = queues;
	const posting = { connections, poster, clock, random, round, report };
	const ports = { ...posting, log, keepError, postpone, sendShards, forward: { region, home, sendTo }, detour };
	const mail = event.Records.map(recordOf);
	const { failed, ...tally } = await deliver(ports, mail);
	count("Appended", tally.appended);
	count("Repeated", tally.repeated);
	count("Undecodable", tally.undecodable);
	count("Forwarded", tally.forwarded);
	count("Detoured", tally.detoured);
	count("Sharded", tally.sharded);
	count("Posts", tally.posts);
	count("ConnectionsEnded", tally.ended);
	count("Unposted", tally.unposted);
	count("Uncopied", tally.uncopied);
	count("PutBack", failed.length);
	count("Stuck", stuckOf(mail, failed));
	return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
});
