/** A message of one of the cell's FIFO queues, as Lambda hands it over. */
import type { SQSRecord } from "aws-lambda";
import type { FailedMail } from "mcp-fanout/transports/aws/cell";

export const mailOf = (record: SQSRecord): FailedMail => ({
	messageId: record.messageId,
	body: record.body,
	group: record.attributes.MessageGroupId ?? "",
	channel: record.messageAttributes.channel?.stringValue,
	receipt: record.receiptHandle,
	receives: Number(record.attributes.ApproximateReceiveCount) || 1,
});
