/**
 * The mailbox message: one envelope for one channel's lane in this region. The group keeps a channel's order; the
 * deduplication id makes a repeated send one message. Group ids must fit AWS's rule (at most 128 ASCII characters),
 * which channel keys do not.
 */
import { createHash } from "node:crypto";

export interface MailboxMessage {
	readonly MessageBody: string;
	readonly MessageGroupId: string;
	readonly MessageDeduplicationId: string;
	readonly MessageAttributes: Record<string, { readonly DataType: "String"; readonly StringValue: string }>;
}

/** 43 characters of base64url. */
export function groupOf(channelKey: string): string {
	return createHash("sha256").update(channelKey).digest("base64url");
}

export function mailboxMessage(channelKey: string, id: string, text: string): MailboxMessage {
	return {
		MessageBody: text,
		MessageGroupId: groupOf(channelKey),
		MessageDeduplicationId: id,
		MessageAttributes: { channel: { DataType: "String", StringValue: channelKey } },
	};
}
