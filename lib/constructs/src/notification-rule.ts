import { type Duration, Tokenization } from "aws-cdk-lib";
import type { EventPattern, IEventBus } from "aws-cdk-lib/aws-events";
import { EventField, Rule, RuleTargetInput } from "aws-cdk-lib/aws-events";
import { LambdaFunction } from "aws-cdk-lib/aws-events-targets";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

/** Whom the notification is for: exactly one of these. A value may be a field of the event, by `EventField.fromPath`. */
export type NotificationTarget =
	| { readonly topic: string }
	| { readonly session: string }
	| { readonly principal: string }
	| { readonly all: true };

export interface NotificationRuleProps {
	readonly eventPattern: EventPattern;
	readonly to: NotificationTarget;
	/** `notifications/…` */
	readonly method: string;
	/** Further params; `detail` is added from the event. A value may be a whole event field, never a part of a text. */
	readonly params?: Readonly<Record<string, unknown>>;
	/**
	 * The cell's `ingest` function. Where another stack made it, by `Function.fromFunctionAttributes` of the SSM parameter
	 * `ingest-arn` with `sameEnvironment`: without it CDK lets no rule call the function.
	 */
	readonly ingest: IFunction;
	/** Where events go that could not be handed over: a queue that admits this rule, as that of `ingest-dead-letters-arn`. */
	readonly deadLetterQueue: IQueue;
	/** @default the account's default bus: AWS services emit nowhere else */
	readonly eventBus?: IEventBus;
	/** @default 24 hours */
	readonly maxEventAge?: Duration;
}

/** An AWS event becomes a notification, without code. The notification's id follows the event's: a retry is one notification. */
export class NotificationRule extends Construct {
	readonly rule: Rule;

	constructor(scope: Construct, id: string, props: NotificationRuleProps) {
		super(scope, id);
		if (!props.method.startsWith("notifications/")) {
			throw new Error(`NotificationRule ${id}: method must start with "notifications/", found "${props.method}"`);
		}
		const input = {
			id: EventField.eventId,
			source: EventField.source,
			time: EventField.time,
			to: props.to,
			method: props.method,
			params: { ...props.params, detail: EventField.fromPath("$.detail") },
		};
		assertWholeFields(input, id);
		this.rule = new Rule(this, "Rule", {
			eventPattern: props.eventPattern,
			...(props.eventBus === undefined ? {} : { eventBus: props.eventBus }),
			targets: [
				new LambdaFunction(props.ingest, {
					event: RuleTargetInput.fromObject(input),
					deadLetterQueue: props.deadLetterQueue,
					retryAttempts: 185,
					...(props.maxEventAge === undefined ? {} : { maxEventAge: props.maxEventAge }),
				}),
			],
		});
	}
}

/**
 * An event field inside a longer text would stand between quotes in the template, and EventBridge does not escape what it
 * puts there: a value with a quote in it would add fields of its own to the notification.
 */
function assertWholeFields(value: unknown, id: string): void {
	if (typeof value === "string") {
		const fragments = Tokenization.reverseString(value);
		if (fragments.length > 1 && fragments.tokens.some((token) => token instanceof EventField)) {
			throw new Error(`NotificationRule ${id}: an event field must be a whole value, not a part of a text`);
		}
	} else if (typeof value === "object" && value !== null) {
		for (const [key, item] of Object.entries(value)) {
			if (Tokenization.reverseString(key).tokens.length > 0) {
				throw new Error(`NotificationRule ${id}: an event field cannot be a key`);
			}
			assertWholeFields(item, id);
		}
	}
}
