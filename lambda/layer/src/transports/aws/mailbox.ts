/**
 * A region's mailbox: the FIFO queue that gives that region's lanes their order. The own region's is named by the cell,
 * or by its address; another region's has the same name, or the one that its stacks wrote into a parameter there. A
 * channel is one message group, an envelope's id the deduplication id.
 */
import { FanoutError } from "../../core/errors.ts";
import { mailboxMessage } from "./cell/mailbox.ts";
import { failureOf } from "./failure.ts";
import { type AwsClients, aws, isAwsError } from "./sdk.ts";

export interface MailboxMessage {
	readonly id: string;
	readonly channelKey: string;
	/** Envelope JSON. */
	readonly text: string;
}

export interface Mailbox {
	send(region: string, message: MailboxMessage, signal: AbortSignal): Promise<void>;
	/** The queue's address, looked up where it is not known yet. */
	find(region: string, signal: AbortSignal): Promise<string>;
}

export interface MailboxNames {
	/** The own region, its mailbox's name, and its address where that is known. */
	readonly region: string;
	readonly name: string;
	readonly url?: string | undefined;
	/** Other regions' names stand in `/<prefix>/mailbox-name` there; without it they are as the own one. */
	readonly parameterPrefix?: string | undefined;
}

export function createMailbox(clients: AwsClients, own: MailboxNames): Mailbox {
	const urls = new Map<string, string>();

	// Before an address is known nothing was sent: a look-up's failure says nothing uncertain of the envelope.

	async function nameIn(region: string, abortSignal: AbortSignal): Promise<string> {
		const { name, parameterPrefix } = own;
		if (region === own.region || parameterPrefix === undefined) return name;
		const parameter = `/${parameterPrefix}/mailbox-name`;
		const what = `reading the SSM parameter ${parameter} in ${region}`;
		try {
			const command = new aws.ssm.GetParameterCommand({ Name: parameter });
			const { Parameter } = await clients.ssm(region).send(command, { abortSignal });
			if (Parameter?.Value) return Parameter.Value;
		} catch (error) {
			throw failureOf(error, what).error;
		}
		throw new FanoutError("TransportRefused", `${what} told no name`);
	}

	async function urlIn(region: string, abortSignal: AbortSignal): Promise<string> {
		const known = urls.get(region) ?? (region === own.region ? own.url : undefined);
		if (known !== undefined) return known;
		const QueueName = await nameIn(region, abortSignal);
		let QueueUrl: string | undefined;
		try {
			const command = new aws.sqs.GetQueueUrlCommand({ QueueName });
			({ QueueUrl } = await clients.sqs(region).send(command, { abortSignal }));
		} catch (error) {
			throw failureOf(error, `the look-up of queue ${QueueName} in ${region}`).error;
		}
		if (QueueUrl === undefined) throw new FanoutError("TransportRefused", `SQS told no address of queue ${QueueName}`);
		urls.set(region, QueueUrl);
		return QueueUrl;
	}

	return {
		find: urlIn,
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
