import { ArnFormat, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Effect, PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Topic } from "aws-cdk-lib/aws-sns";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import { RegionInfo } from "aws-cdk-lib/region-info";
import { Construct } from "constructs";
import { type CellNames, FifoMailbox, MAX_MAIL_BYTES } from "mcp-fanout-cdk";

export interface MessagingProps {
	readonly names: CellNames;
	readonly regions: readonly string[];
	readonly deliverTimeout: Duration;
	readonly relayTimeout: Duration;
	readonly shardTimeout: Duration;
}

/** Receives before a message is set aside. Enough to ride out a failing dependency of some minutes. */
const RELAY_RECEIVES = 10;

/** Shorter than the dead letters' own: what is set aside keeps the age that it had, and would be gone at once. */
const RELAY_RETENTION = Duration.days(4);

/** By then every client has read from the log what it was not posted: each asks for its channels' ends every few minutes. */
const SHARD_RETENTION = Duration.hours(1);

/** All that SQS takes, so that a copy, with its attributes, is never larger than the queue allows. */
const MAX_ERROR_BYTES = 1024 * 1024;

/** The ways of one region: its topic for shared channels, the relay queue that every region's topic feeds, the mailbox. */
export class Messaging extends Construct {
	readonly topic: Topic;
	readonly relay: Queue;
	readonly relayDeadLetters: Queue;
	readonly mailbox: FifoMailbox;
	/** What deliver sends on to the shards of large audiences, whose posts take long. */
	readonly shards: FifoMailbox;
	/** What could not be decoded, and events that no function took. */
	readonly errors: Queue;

	constructor(scope: Construct, id: string, props: MessagingProps) {
		super(scope, id);
		this.topic = new Topic(this, "Topic", { topicName: props.names.topic, enforceSSL: true });
		this.relayDeadLetters = standardQueue(this, "RelayDeadLetters");
		this.errors = standardQueue(this, "Errors", { maxMessageSizeBytes: MAX_ERROR_BYTES });
		this.relay = standardQueue(this, "Relay", {
			queueName: props.names.relay,
			maxMessageSizeBytes: MAX_MAIL_BYTES,
			retentionPeriod: RELAY_RETENTION,
			visibilityTimeout: Duration.seconds(props.relayTimeout.toSeconds() * 6),
			deadLetterQueue: { queue: this.relayDeadLetters, maxReceiveCount: RELAY_RECEIVES },
		});
		admitTopics(this.relay, props.names.topic, props.regions);
		this.mailbox = new FifoMailbox(this, "Mailbox", {
			queueName: props.names.mailbox,
			deliverTimeout: props.deliverTimeout,
		});
		this.shards = new FifoMailbox(this, "Shards", {
			deliverTimeout: props.shardTimeout,
			retention: SHARD_RETENTION,
		});
	}
}

/** A standard queue that loses nothing for two weeks; encrypted with SSE-SQS, since `alias/aws/sqs` cannot admit SNS. */
export function standardQueue(scope: Construct, id: string, props: ConstructorParameters<typeof Queue>[2] = {}): Queue {
	return new Queue(scope, id, {
		encryption: QueueEncryption.SQS_MANAGED,
		enforceSSL: true,
		retentionPeriod: Duration.days(14),
		removalPolicy: RemovalPolicy.DESTROY,
		...props,
	});
}

/**
 * Every region's topic, by its name-built ARN: the topic may not exist yet, and a reference would tie the regions' stacks
 * together. SNS delivers from an opt-in region as a principal of that region.
 */
function admitTopics(queue: Queue, topicName: string, regions: readonly string[]): void {
	const stack = Stack.of(queue);
	const principals = [
		new ServicePrincipal("sns.amazonaws.com"),
		...regions
			.filter((region) => RegionInfo.get(region).isOptInRegion)
			.map((region) => new ServicePrincipal(`sns.${region}.amazonaws.com`)),
	];
	queue.addToResourcePolicy(
		new PolicyStatement({
			sid: "AdmitTopics",
			effect: Effect.ALLOW,
			principals,
			actions: ["sqs:SendMessage"],
			resources: [queue.queueArn],
			conditions: {
				ArnEquals: {
					"aws:SourceArn": regions.map((region) =>
						stack.formatArn({
							service: "sns",
							region,
							resource: topicName,
							arnFormat: ArnFormat.NO_RESOURCE_NAME,
						}),
					),
				},
			},
		}),
	);
}
