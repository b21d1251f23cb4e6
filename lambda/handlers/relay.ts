/** The relay queue's event source: shared channels' messages of every region into this region's mailbox. */
import type { SQSBatchResponse, SQSEvent, SQSRecord } from "aws-lambda";
import { createCell, type RelayRecord, relay } from "mcp-fanout/transports/aws/cell";
import { count, handle, report } from "./powertools.ts";

const cell = createCell();

const recordOf = ({ messageId, body, messageAttributes }: SQSRecord): RelayRecord => ({
	messageId,
	body,
	channel: messageAttributes.channel?.stringValue,
});

export const handler = handle(async (event: SQSEvent): Promise<SQSBatchResponse> => {
	const { sendMail: send, keepError } = cell.queues;
	const failed = await relay({ send, keepError, report }, event.Records.map(recordOf));
	count("Relayed", event.Records.length - failed.length);
	return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
});
