/** Whether the mailbox queue is what a configuration says of it. Asked once, when the transport starts. */
import { FanoutError } from "../../core/errors.ts";
import { failureOf } from "./failure.ts";
import { type AwsClients, aws } from "./sdk.ts";

export interface MailboxExpectation {
	/** Of the own region's queue; by the mailbox's name when absent. */
	readonly url?: string | undefined;
	readonly visibilityTimeoutSeconds?: number | undefined;
}

export async function checkMailbox(
	clients: AwsClients,
	name: string,
	{ url, visibilityTimeoutSeconds }: MailboxExpectation,
	abortSignal: AbortSignal,
): Promise<void> {
	let found: { readonly FifoQueue?: string; readonly VisibilityTimeout?: string } = {};
	try {
		const sqs = clients.sqs();
		const byName = async () =>
			(await sqs.send(new aws.sqs.GetQueueUrlCommand({ QueueName: name }), { abortSignal })).QueueUrl;
		const command = new aws.sqs.GetQueueAttributesCommand({
			QueueUrl: url ?? (await byName()),
			AttributeNames: ["FifoQueue", "VisibilityTimeout"],
		});
		found = (await sqs.send(command, { abortSignal })).Attributes ?? {};
	} catch (error) {
		throw failureOf(error, `the mailbox queue ${url ?? name} could not be checked, which`).error;
	}
	const refuse = (message: string) =>
		new FanoutError("ConfigInvalid", `the mailbox queue ${url ?? name} ${message}`, {
			data: { queue: url ?? name, ...found },
		});
	if (found.FifoQueue !== "true") throw refuse("is no FIFO queue");
	if (visibilityTimeoutSeconds !== undefined && Number(found.VisibilityTimeout) !== visibilityTimeoutSeconds) {
		throw refuse(
			`has a visibility timeout of ${found.VisibilityTimeout} s, and visibility_timeout_seconds says ${visibilityTimeoutSeconds}`,
		);
	}
}
