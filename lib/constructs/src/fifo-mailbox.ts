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
	/** Fixed where another region sends here; must end in `.fifo`. @default generated */
	readonly queueName?: string;
	/** Timeout of the function that will be connected. */
	readonly deliverTimeout: Duration;
	/** @default 4 days */
	readonly retention?: Duration;
}

export interface DeliverOptions {
	readonly maxConcurrency?: number;
	/** @default 10 */
	readonly batchSize?: number;
}

/**
 * A high-throughput FIFO queue: the one ordering point of a region, with a message group for each channel; or the way
 * to its shards, with a group for each shard.
 * It has no dead-letter queue: moving one message aside would break its group's order, and a redriven message has a
 * new identity. What cannot be decoded is copied to the error queue by the function, which then acknowledges it.
 * Encrypted with SSE-SQS, since `alias/aws/sqs` cannot admit SNS or another region's publisher.
 */
export class FifoMailbox extends Construct {
	readonly queue: Queue;

	constructor(scope: Construct, id: string, props: FifoMailboxProps) {
		super(scope, id);
		this.queue = new Queue(this, "Queue", {
			...(props.queueName === undefined ? {} : { queueName: props.queueName }),
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

	/** Makes `fn` the queue's one consumer: failed messages named, with the grant that it needs. */
	connectDeliver(fn: IFunction, options: DeliverOptions = {}): EventSourceMapping {
		QueueGrants.fromQueue(this.queue).consumeMessages(fn);
		return new EventSourceMapping(this, "Deliver", {
			target: fn,
			eventSourceArn: this.queue.queueArn,
			batchSize: options.batchSize ?? 10,
			reportBatchItemFailures: true,
			...(options.maxConcurrency === undefined ? {} : { maxConcurrency: options.maxConcurrency }),
		});
	}
}
