import { Duration, Stack } from "aws-cdk-lib";
import { EventBus, Rule } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { Function as LambdaFn } from "aws-cdk-lib/aws-lambda";
import { SqsDestination } from "aws-cdk-lib/aws-lambda-destinations";
import type { Queue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";
import { standardQueue } from "./messaging.ts";

/** The event by which any code, in any language, asks for a notification. */
export const SESSION_NOTIFICATION = {
	source: ["mcp.framework"],
	detailType: ["Session Notification"],
};

export interface EventsProps {
	readonly busName: string;
	readonly ingest: LambdaFn;
}

/** A notification about the past is worth less each hour: EventBridge and Lambda give up after six. */
const MAX_EVENT_AGE = Duration.hours(6);

/** The region's own bus. Its events carry target, method and params in their detail, so the whole event goes to `ingest`. */
export class Events extends Construct {
	readonly bus: EventBus;
	readonly deadLetters: Queue;

	constructor(scope: Construct, id: string, props: EventsProps) {
		super(scope, id);
		this.deadLetters = standardQueue(this, "DeadLetters");
		// A NotificationRule of another stack names this queue, and cannot add to its policy.
		this.deadLetters.addToResourcePolicy(
			new PolicyStatement({
				sid: "AdmitRules",
				principals: [new ServicePrincipal("events.amazonaws.com")],
				actions: ["sqs:SendMessage"],
				resources: [this.deadLetters.queueArn],
				conditions: {
					ArnLike: {
						"aws:SourceArn": Stack.of(this).formatArn({ service: "events", resource: "rule", resourceName: "*" }),
					},
				},
			}),
		);
		this.bus = new EventBus(this, "Bus", {
			eventBusName: props.busName,
			description: "mcp-fanout: events that become notifications",
		});
		new Rule(this, "SessionNotification", {
			eventBus: this.bus,
			description: "Session notifications go to every client stream that should see them",
			eventPattern: SESSION_NOTIFICATION,
			targets: [
				new LambdaFunction(props.ingest, {
					deadLetterQueue: this.deadLetters,
					retryAttempts: 185,
					maxEventAge: MAX_EVENT_AGE,
				}),
			],
		});
		// EventBridge hands over to Lambda's own queue; what fails after that is Lambda's to set aside.
		props.ingest.configureAsyncInvoke({
			onFailure: new SqsDestination(this.deadLetters),
			retryAttempts: 2,
			maxEventAge: MAX_EVENT_AGE,
		});
	}
}
