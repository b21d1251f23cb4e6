/** The region's queues as its functions use them: the mailbox, found by its name once, the shards and the errors. */
import { createHash } from "node:crypto";
import { FanoutError } from "../../../core/errors.ts";
import { aws, type SqsClient } from "../sdk.ts";
import type { FailedMail } from "./failed-mail.ts";
import type { MailboxMessage } from "./mailbox.ts";

export interface Queues {
	/** At most ten messages to the mailbox; returns the indexes that were not taken. */
	sendMail(messages: readonly MailboxMessage[]): Promise<readonly number[]>;
	/** The same of the shards queue. */
	sendShards(messages: readonly MailboxMessage[]): Promise<readonly number[]>;
	/** The same of the relay's queue, which shows them after so many seconds. */
	sendLater(messages: readonly MailboxMessage[], seconds: number): Promise<readonly number[]>;
	/** Shows messages of the mailbox again after so many seconds. */
	postpone(records: readonly FailedMail[], seconds: number): Promise<void>;
	postponeShards(records: readonly FailedMail[], seconds: number): Promise<void>;
	/** A copy of what cannot be decoded, with why; where no queue takes a body of that size, its size and hash. */
	keepError(
		record: { readonly messageId: string; readonly body: string; readonly channel?: string | undefined },
		code: string,
	): Promise<void>;
}

export interface QueuesOptions {
	readonly sqs: SqsClient;
	readonly mailboxName: () => string;
	readonly errorQueueUrl: () => string;
	readonly shardQueueUrl: () => string;
	readonly relayQueueUrl: () => string;
}

/** SQS: what a queue takes at most, attributes included. The template lets the error queue take all of it. */
export const MAX_ERROR_BYTES = 1024 * 1024;
/** Room for the attributes of a copy: a code, an id, a channel key. */
const ERROR_ATTRIBUTE_BYTES = 8 * 1024;

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const attribute = (StringValue: string) => ({ DataType: "String", StringValue });

export function createQueues({ sqs, mailboxName, errorQueueUrl, shardQueueUrl, relayQueueUrl }: QueuesOptions): Queues {
	let url: Promise<string> | undefined;

	function mailboxUrl(): Promise<string> {
		url ??= sqs.send(new aws.sqs.GetQueueUrlCommand({ QueueName: mailboxName() })).then(({ QueueUrl }) => {
			if (QueueUrl === undefined) throw new FanoutError("ConfigInvalid", "the mailbox queue has no address");
			return QueueUrl;
		});
		url.catch(() => {
			url = undefined; // looked up again by the next caller; this one gets the error
		});
		return url;
	}

	type Message = Omit<MailboxMessage, "MessageGroupId" | "MessageDeduplicationId"> & { readonly DelaySeconds?: number };
	async function send(QueueUrl: string, messages: readonly Message[]): Promise<readonly number[]> {
		const Entries = messages.map((message, index) => ({ Id: String(index), ...message }));
		const { Failed = [] } = await sqs.send(new aws.sqs.SendMessageBatchCommand({ QueueUrl, Entries }));
		return Failed.map(({ Id }) => Number(Id));
	}

	async function postpone(QueueUrl: string, records: readonly FailedMail[], seconds: number): Promise<void> {
		const Entries = records.map(({ receipt }, index) => ({
			Id: String(index),
			ReceiptHandle: receipt,
			VisibilityTimeout: seconds,
		}));
		const command = new aws.sqs.ChangeMessageVisibilityBatchCommand({ QueueUrl, Entries });
		const { Failed = [] } = await sqs.send(command);
		if (Failed.length > 0) {
			throw new FanoutError("TransportRefused", `${Failed.length} of ${records.length} messages were not postponed`);
		}
	}

	return {
		sendMail: async (messages) => send(await mailboxUrl(), messages),
		sendShards: (messages) => send(shardQueueUrl(), messages),
		// No group and no id: it is a standard queue.
		sendLater: (messages, DelaySeconds) =>
			send(
				relayQueueUrl(),
				messages.map(({ MessageBody, MessageAttributes }) => ({ MessageBody, MessageAttributes, DelaySeconds })),
			),
		postpone: async (records, seconds) => postpone(await mailboxUrl(), records, seconds),
		postponeShards: (records, seconds) => postpone(shardQueueUrl(), records, seconds),
		async keepError({ messageId, body, channel }, code) {
			const MessageAttributes = {
				code: attribute(code),
				source: attribute(messageId),
				...(channel === undefined || channel === "" ? {} : { channel: attribute(channel) }),
			};
			const bytes = Buffer.byteLength(body);
			const isWhole = bytes + ERROR_ATTRIBUTE_BYTES <= MAX_ERROR_BYTES;
			const command = new aws.sqs.SendMessageCommand({
				QueueUrl: errorQueueUrl(),
				MessageBody: isWhole ? body : JSON.stringify({ omitted: "body", bytes, sha256: sha256(body) }),
				MessageAttributes: isWhole ? MessageAttributes : { ...MessageAttributes, omitted: attribute(String(bytes)) },
			});
			await sqs.send(command);
		},
	};
}
