/** A message of one of the cell's FIFO queues, as Lambda hands it over. */
import type { SQSRecord } from "aws-lambda";
import { type FailedMail, STUCK_RECEIVES } from "mcp-fanout/transports/aws/cell";

export const mailOf = (record: SQSRecord): FailedMail => ({
	messageId: record.messageId,
	body: record.body,
	group: record.attributes.MessageGroupId ?? "",
	channel: record.messageAttributes.channel?.stringValue,
	receipt: record.receiptHandle,
	receives: Number(record.attributes.ApproximateReceiveCount) || 1,
});

/** How many of those that are put back were so for minutes: SQS leaves them out of its own age of the oldest message. */
export const stuckOf = (mail: readonly FailedMail[], failed: readonly string[]): number =>
	mail.filter(({ messageId, receives }) => receives >= STUCK_RECEIVES && failed.includes(messageId)).length;
