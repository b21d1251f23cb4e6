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

/** `via`: the regions whose mailboxes it has been in, when it is sent on to another. */
export function mailboxMessage(
	channelKey: string,
	id: string,
	text: string,
	via: readonly string[] = [],
): MailboxMessage {
	const attribute = (StringValue: string) => ({ DataType: "String", StringValue }) as const;
	const channel = attribute(channelKey);
	return {
		MessageBody: text,
		MessageGroupId: groupOf(channelKey),
		MessageDeduplicationId: id,
		MessageAttributes: via.length === 0 ? { channel } : { channel, via: attribute(via.join(",")) },
	};
}

/** SQS: entries and bytes of one SendMessageBatch, attributes included (256 KiB holds everywhere). */
export const MAX_SEND_COUNT = 10;
export const MAX_SEND_BYTES = 250 * 1024;

export function mailBytes({ MessageBody, MessageAttributes }: MailboxMessage): number {
	const attributes = Object.values(MessageAttributes).map(({ StringValue }) => Buffer.byteLength(StringValue) + 32);
	return attributes.reduce((sum, bytes) => sum + bytes, Buffer.byteLength(MessageBody));
}

/** Batches under both limits, in order. */
export function chunkMail<T>(items: readonly T[], size: (item: T) => number): T[][] {
	const chunks: T[][] = [];
	let room = 0;
	for (const item of items) {
		const bytes = size(item);
		const last = chunks.at(-1);
		if (last === undefined || last.length === MAX_SEND_COUNT || bytes > room) {
			chunks.push([item]);
			room = MAX_SEND_BYTES - bytes;
		} else {
			last.push(item);
			room -= bytes;
		}
	}
	return chunks;
}
