import { Duration } from "aws-cdk-lib";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { EventSourceMapping } from "aws-cdk-lib/aws-lambda";
import { DeduplicationScope, FifoThroughputLimit, Queue, QueueEncryption, QueueGrants } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

/** AWS's advice, and its rule for event sources: a batch that is still worked on must not come back. */
const VISIBILITY_FACTOR = 6;

/** Twice the largest envelope, and a quarter of what the error queue takes: what is no envelope can always be copied. */
export const MAX_MAIL_BYTES = 256 * 1024;

export interface FifoMailboxProps {
	/** Another region sends here, so the name is fixed. Must end in `.fifo`. */
	readonly queueName: string;
	/** Timeout of the function that will be connected. */
	readonly deliverTimeout: Duration;
	/** @default 4 days */
	readonly retention?: Duration;
}

/**
 * The one ordering point of a region: a high-throughput FIFO queue, one message group per channel.
 * It has no dead-letter queue: moving one message aside would break its channel's order, and a redriven message has a
 * new identity. What cannot be decoded is copied to the error queue by the function, which then acknowledges it.
 * Encrypted with SSE-SQS, since `alias/aws/sqs` cannot admit SNS or another region's publisher.
 */
export class FifoMailbox extends Construct {
	readonly queue: Queue;

	constructor(scope: Construct, id: string, props: FifoMailboxProps) {
		super(scope, id);
		this.queue = new Queue(this, "Queue", {
			queueName: props.queueName,
			fifo: true,
			maxMessageSizeBytes: MAX_MAIL_BYTES,
			contentBasedDeduplication: false,
			deduplicationScope: DeduplicationScope.MESSAGE_GROUP,
			fifoThroughputLimit: FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
			encryption: QueueEncryption.SQS_MANAGED,
			enforceSSL: true,
			visibilityTimeout: Duration.seconds(props.deliverTimeout.toSeconds() * VISIBILITY_FACTOR),
			retentionPeriod: props.retention ?? Duration.days(4),
		});
	}

	/** Makes `fn` the mailbox's one consumer: ten messages a batch, failed ones named, with the grant that it needs. */
	connectDeliver(fn: IFunction, options: { readonly maxConcurrency?: number } = {}): EventSourceMapping {
		QueueGrants.fromQueue(this.queue).consumeMessages(fn);
		return new EventSourceMapping(this, "Deliver", {
			target: fn,
			eventSourceArn: this.queue.queueArn,
			batchSize: 10,
			reportBatchItemFailures: true,
			...(options.maxConcurrency === undefined ? {} : { maxConcurrency: options.maxConcurrency }),
		});
	}
}
