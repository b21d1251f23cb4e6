import { ArnFormat } from "aws-cdk-lib";
import { Effect, PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { CfnSubscription, type ITopic } from "aws-cdk-lib/aws-sns";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import type { Construct } from "constructs";
import { standardQueue } from "../parts/messaging.ts";
import { FanoutStack, type FanoutStackProps } from "./fanout-stack.ts";

export interface MeshStackProps extends Omit<FanoutStackProps, "description"> {
	/** The topic of this region. */
	readonly topic: ITopic;
}

/** Named, so that the alarm for it needs no reference, which would keep it from going when its region is taken out. */
export const deadLettersName = (prefix: string, region: string): string => `${prefix}-to-${region}-dead-letters`;

/**
 * One region's outgoing subscriptions: its topic to the relay queue of every region, its own included. They stand in the
 * topic's region, since SNS takes a subscription nowhere else; queues are named, not referenced.
 */
export class MeshStack extends FanoutStack {
	readonly deadLetters: readonly Queue[];

	constructor(scope: Construct, props: MeshStackProps) {
		super(scope, "mesh", {
			...props,
			description: "mcp-fanout: subscriptions from one region's topic to every region",
		});
		this.deadLetters = this.config.regions.map((region) => this.subscribe(props.topic, region));
	}

	/** SNS accepts a message, then drops it on a client error of the queue: every subscription keeps such in a queue here. */
	private subscribe(topic: ITopic, region: string): Queue {
		const deadLetters = standardQueue(this, `To-${region}-DeadLetters`, {
			queueName: deadLettersName(this.prefix, region),
		});
		deadLetters.addToResourcePolicy(
			new PolicyStatement({
				sid: "AdmitTopic",
				effect: Effect.ALLOW,
				principals: [new ServicePrincipal("sns.amazonaws.com")],
				actions: ["sqs:SendMessage"],
				resources: [deadLetters.queueArn],
				conditions: { ArnEquals: { "aws:SourceArn": topic.topicArn } },
			}),
		);
		new CfnSubscription(this, `To-${region}`, {
			topicArn: topic.topicArn,
			protocol: "sqs",
			endpoint: this.formatArn({
				service: "sqs",
				region,
				resource: this.names.relay,
				arnFormat: ArnFormat.NO_RESOURCE_NAME,
			}),
			rawMessageDelivery: true,
			redrivePolicy: { deadLetterTargetArn: deadLetters.queueArn },
		});
		return deadLetters;
	}
}
