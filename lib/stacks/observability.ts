import { Duration } from "aws-cdk-lib";
import type { Metric } from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import { type ITable, Table, type TableV2 } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { MonitoringFacade } from "cdk-monitoring-constructs";
import type { Construct } from "constructs";
import type { FanoutWebSocketApi } from "mcp-fanout-cdk";
import { Alarms } from "../parts/alarms.ts";
import type { HandlerFunction } from "../parts/handler-function.ts";
import type { DeliveryStack } from "./delivery.ts";
import { FanoutStack, type FanoutStackProps } from "./fanout-stack.ts";
import { deadLettersName } from "./mesh.ts";
import type { StateStack } from "./state.ts";

export interface ObservabilityStackProps extends Omit<FanoutStackProps, "description"> {
	readonly state: StateStack;
	readonly delivery: DeliveryStack;
}

/** One region's alarms and dashboard. */
export class ObservabilityStack extends FanoutStack {
	readonly alarms: Alarms;

	constructor(scope: Construct, props: ObservabilityStackProps) {
		super(scope, "observability", { ...props, description: "mcp-fanout: alarms and dashboard of one region" });
		this.alarms = new Alarms(this, "Alarms", this.alarmActions());
		this.addAlarms(props);
		this.addDashboard(props);
	}

	private alarmActions(): readonly SnsAction[] {
		if (this.config.alarmEmail === undefined) return [];
		const topic = new Topic(this, "AlarmTopic", { enforceSSL: true });
		topic.addSubscription(new EmailSubscription(this.config.alarmEmail));
		// A policy of our own (it refuses plain HTTP) takes the place of the default one, which admits CloudWatch.
		topic.addToResourcePolicy(
			new PolicyStatement({
				sid: "AdmitAlarms",
				principals: [new ServicePrincipal("cloudwatch.amazonaws.com")],
				actions: ["sns:Publish"],
				resources: [topic.topicArn],
				conditions: { StringEquals: { "aws:SourceAccount": this.account } },
			}),
		);
		return [new SnsAction(topic)];
	}

	private addAlarms({ delivery }: ObservabilityStackProps): void {
		const { alarms } = this;
		const { messaging, handlers, events, syncDeadLetters, eventStream } = delivery;
		alarms.age(
			"MailboxBehind",
			messaging.mailbox.queue,
			60,
			"Notifications wait in the mailbox: clients get them late",
		);
		alarms.age(
			"ShardsBehind",
			messaging.shards.queue,
			60,
			"Posts to a large audience fall behind: clients read the log",
		);
		alarms.age("RelayBehind", messaging.relay, 60, "Shared channels' notifications wait before the mailbox");
		alarms.empty("RelayDeadLetters", messaging.relayDeadLetters, "A shared channel's notification was set aside");
		alarms.empty("Undecodable", messaging.errors, "A message could not be decoded; its channel has a gap row");
		alarms.empty("EventDeadLetters", events.deadLetters, "An event did not become a notification");
		alarms.empty("SyncDeadLetters", syncDeadLetters, "A session's move was not seen: its old streams may linger");
		for (const to of this.config.regions) {
			const queueName = deadLettersName(this.prefix, to);
			alarms.emptyNamed(
				`MeshDeadLetters-${to}`,
				queueName,
				`SNS could not hand a notification to the relay queue of ${to}`,
			);
		}
		alarms.readerErrors("DeliverErrors", handlers.deliver, "Deliver fails: channels stand still until it works again");
		const { deliver, shard, ingest } = handlers;
		alarms.counted(
			"Uncopied",
			deliver.counted("Uncopied"),
			"A message that could not be decoded is lost, copy and all",
		);
		// Nobody throws when a group is put back, and SQS's age of the oldest message leaves out what was received often.
		const stuck = (fn: HandlerFunction) => fn.counted("Stuck").with({ period: Duration.minutes(5) });
		alarms.counted("MailStuck", stuck(deliver), "A channel stands still: its messages fail again and again");
		alarms.counted("ShardsStuck", stuck(shard), "A shard stands still: its end clients hear from the log, late");
		alarms.counted(
			"Detoured",
			deliver.counted("Detoured"),
			"Notifications wait for sessions whose region is not reached",
			// One that goes round is counted once in each lap, of six minutes and some tries.
			{ outOf: 15 },
		);
		// Not in a row: where little is published, a deliver that is refused by all fails once in minutes.
		const often = { minutes: 3, outOf: 10 };
		alarms.counted("Unposted", deliver.counted("Unposted"), "Some clients hear late: they find it in the log", often);
		alarms.counted(
			"ShardsUnposted",
			shard.counted("Unposted"),
			"Some end clients hear late: an audience is larger than the budget of posts",
			often,
		);
		alarms.counted("EventsRefused", ingest.counted("EventsRefused"), "An event makes no notification: it was dropped");
		alarms.readerErrors(
			"ShardErrors",
			handlers.shard,
			"Posts to end clients fail: they find out within minutes, from the log",
		);
		alarms.throttles(
			"DeliverThrottled",
			handlers.deliver,
			"Deliver has too little concurrency: notifications are late",
		);
		alarms.errors("ConnectErrors", handlers.connect, "Clients cannot connect");
		alarms.errors("SubscribeErrors", handlers.subscribe, "Clients cannot subscribe");
		alarms.errors("AuthorizeErrors", handlers.authorize, "End clients cannot connect");
		alarms.counted(
			"KeyUnread",
			handlers.authorize.counted("KeyUnread"),
			"End clients cannot connect: the ticket key cannot be read",
		);
		alarms.errors("StreamErrors", handlers.stream, "End clients' server-sent events break");
		if (eventStream !== undefined) {
			const failing = eventStream.api.metricServerError({ period: Duration.minutes(1) });
			const description = "Server-sent events are refused: what they need cannot be reached";
			alarms.add("StreamsRefused", failing, { description, threshold: 5, minutes: 3 });
		}
		alarms.throttles("StreamsFull", handlers.stream, "All concurrency for streams is held: more clients are refused");
		alarms.iteratorAge("SyncBehind", handlers.sync, 60_000, "Sessions' moves between regions are seen late");
		// Every region writes items of its own, and measures how late they are elsewhere.
		for (const region of this.config.regions.filter((other) => other !== this.place)) {
			alarms.replication(
				`SessionsReplication-${region}`,
				this.names.sessions,
				region,
				10_000,
				`Session homes reach ${region} late: notifications take a detour`,
			);
		}
	}

	private addDashboard({ state, delivery }: ObservabilityStackProps): void {
		const { messaging, handlers, sockets } = delivery;
		const board = new MonitoringFacade(this, `${this.prefix}-${this.place}`);
		board.addLargeHeader(`${this.prefix} in ${this.place}`);
		board
			.monitorSqsQueue({ queue: messaging.mailbox.queue, humanReadableName: "Mailbox" })
			.monitorSqsQueue({ queue: messaging.shards.queue, humanReadableName: "Shards" })
			.monitorSqsQueue({ queue: messaging.relay, humanReadableName: "Relay" })
			.monitorSnsTopic({ topic: messaging.topic, humanReadableName: "Topic" })
			.monitorDynamoTable({ table: this.named("Log", state.logTable), humanReadableName: "Log" })
			.monitorDynamoTable({
				table: this.named("Connections", state.connectionsTable),
				humanReadableName: "Connections",
			});
		for (const fn of handlers.all) {
			board.monitorLambdaFunction({ lambdaFunction: fn, humanReadableName: fn.handlerName });
		}
		board
			.monitorCustom({
				alarmFriendlyName: "BackEnds",
				humanReadableName: "Back ends",
				metricGroups: [{ title: "Back ends", metrics: socketMetrics(sockets.backend) }],
			})
			.monitorCustom({
				alarmFriendlyName: "EndClients",
				humanReadableName: "End clients",
				metricGroups: [{ title: "End clients", metrics: socketMetrics(sockets.client) }],
			});
	}

	/** The monitoring constructs ask for the older table interface. */
	private named(id: string, table: TableV2): ITable {
		return Table.fromTableName(this, id, table.tableName);
	}
}

function socketMetrics({ stage }: FanoutWebSocketApi): Metric[] {
	return ["ConnectCount", "MessageCount", "IntegrationError", "ExecutionError"].map((name) =>
		stage.metric(name, { statistic: "Sum", label: name }),
	);
}
