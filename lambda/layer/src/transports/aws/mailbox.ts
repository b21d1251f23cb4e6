/**
 * A region's mailbox: the FIFO queue that gives that region's lanes their order. Reached by name in any region; a
 * channel is one message group, an envelope's id the deduplication id.
 */
import { FanoutError } from "../../core/errors.ts";
import { mailboxMessage } from "./cell/mailbox.ts";
import { type AwsClients, aws, isAwsError } from "./sdk.ts";

export interface MailboxMessage {
	readonly id: string;
	readonly channelKey: string;
	/** Envelope JSON. */
	readonly text: string;
}

export interface Mailbox {
	send(region: string, message: MailboxMessage, signal: AbortSignal): Promise<void>;
}

export function createMailbox(clients: AwsClients, queueName: string): Mailbox {
	const urls = new Map<string, string>();

	async function urlIn(region: string, abortSignal: AbortSignal): Promise<string> {
		const known = urls.get(region);
		if (known !== undefined) return known;
		const command = new aws.sqs.GetQueueUrlCommand({ QueueName: queueName });
		const { QueueUrl } = await clients.sqs(region).send(command, { abortSignal });
		if (QueueUrl === undefined) throw new FanoutError("TransportRefused", `SQS told no address of queue ${queueName}`);
		urls.set(region, QueueUrl);
		return QueueUrl;
	}

	return {
		async send(region, { id, channelKey, text }, abortSignal) {
			const command = new aws.sqs.SendMessageCommand({
				QueueUrl: await urlIn(region, abortSignal),
				...mailboxMessage(channelKey, id, text),
			});
			try {
				await clients.sqs(region).send(command, { abortSignal });
			} catch (error) {
				if (isAwsError(error, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")) urls.delete(region);
				throw error;
			}
		},
	};
}
