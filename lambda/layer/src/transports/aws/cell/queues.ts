/** The region's queues as deliver and relay use them: the mailbox, found by its name once, and the error queue. */
import { FanoutError } from "../../../core/errors.ts";
import { aws, type SqsClient } from "../sdk.ts";
import type { MailRecord } from "./deliver.ts";
import type { MailboxMessage } from "./mailbox.ts";

export interface Queues {
	/** At most ten messages to the mailbox; returns the indexes that were not taken. */
	sendMail(messages: readonly MailboxMessage[]): Promise<readonly number[]>;
	/** Shows messages of the mailbox again after so many seconds. */
	postpone(records: readonly MailRecord[], seconds: number): Promise<void>;
	/** A copy of what cannot be decoded, with why. */
	keepError(
		record: { readonly messageId: string; readonly body: string; readonly channel?: string | undefined },
		code: string,
	): Promise<void>;
}

export interface QueuesOptions {
	readonly sqs: SqsClient;
	readonly mailboxName: () => string;
	readonly errorQueueUrl: () => string;
}

const attribute = (StringValue: string) => ({ DataType: "String", StringValue });

export function createQueues({ sqs, mailboxName, errorQueueUrl }: QueuesOptions): Queues {
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

	return {
		async sendMail(messages) {
			const Entries = messages.map((message, index) => ({ Id: String(index), ...message }));
			const command = new aws.sqs.SendMessageBatchCommand({ QueueUrl: await mailboxUrl(), Entries });
			const { Failed = [] } = await sqs.send(command);
			return Failed.map(({ Id }) => Number(Id));
		},
		async postpone(records, seconds) {
			const Entries = records.map(({ receipt }, index) => ({
				Id: String(index),
				ReceiptHandle: receipt,
				VisibilityTimeout: seconds,
			}));
			const command = new aws.sqs.ChangeMessageVisibilityBatchCommand({ QueueUrl: await mailboxUrl(), Entries });
			const { Failed = [] } = await sqs.send(command);
			if (Failed.length > 0) {
				throw new FanoutError("TransportRefused", `${Failed.length} of ${records.length} messages were not postponed`);
			}
		},
		async keepError({ messageId, body, channel }, code) {
			const MessageAttributes = {
				code: attribute(code),
				source: attribute(messageId),
				...(channel === undefined || channel === "" ? {} : { channel: attribute(channel) }),
			};
			const command = new aws.sqs.SendMessageCommand({
				QueueUrl: errorQueueUrl(),
				MessageBody: body,
				MessageAttributes,
			});
			await sqs.send(command);
		},
	};
}
