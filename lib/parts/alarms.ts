import { Duration } from "aws-cdk-lib";
import {
	Alarm,
	ComparisonOperator,
	type IAlarmAction,
	type IMetric,
	Metric,
	TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { Construct } from "constructs";

const PERIOD = Duration.minutes(1);

export interface AlarmWindow {
	/** Minutes in a row. @default 1 */
	readonly minutes?: number;
	/** … or so many minutes of these. */
	readonly outOf?: number;
}

export interface AlarmOptions extends AlarmWindow {
	/** What it means for a client; shown with the alarm. */
	readonly description: string;
	readonly threshold: number;
}

/**
 * Alarms over one metric each, without metric math: they deploy everywhere, and their names head the runbook.
 * Missing data is healthy, since idle queues and functions report nothing.
 */
export class Alarms extends Construct {
	private readonly actions: readonly IAlarmAction[];

	constructor(scope: Construct, id: string, actions: readonly IAlarmAction[]) {
		super(scope, id);
		this.actions = actions;
	}

	add(name: string, metric: IMetric, options: AlarmOptions): Alarm {
		const alarm = new Alarm(this, name, {
			metric,
			alarmDescription: options.description,
			threshold: options.threshold,
			comparisonOperator: ComparisonOperator.GREATER_THAN_THRESHOLD,
			evaluationPeriods: options.outOf ?? options.minutes ?? 1,
			...(options.outOf === undefined ? {} : { datapointsToAlarm: options.minutes ?? 1 }),
			treatMissingData: TreatMissingData.NOT_BREACHING,
		});
		alarm.addAlarmAction(...this.actions);
		return alarm;
	}

	/** Nothing may lie in a queue that only holds what failed. */
	empty(name: string, queue: IQueue, description: string): Alarm {
		const metric = queue.metricApproximateNumberOfMessagesVisible({ period: PERIOD, statistic: "Maximum" });
		return this.add(name, metric, { description, threshold: 0 });
	}

	/** The same of another stack's queue, by its name. */
	emptyNamed(name: string, queueName: string, description: string): Alarm {
		const metric = new Metric({
			namespace: "AWS/SQS",
			metricName: "ApproximateNumberOfMessagesVisible",
			dimensionsMap: { QueueName: queueName },
			period: PERIOD,
			statistic: "Maximum",
		});
		return this.add(name, metric, { description, threshold: 0 });
	}

	/** The oldest message must be younger than so many seconds. */
	age(name: string, queue: IQueue, seconds: number, description: string): Alarm {
		const metric = queue.metricApproximateAgeOfOldestMessage({ period: PERIOD, statistic: "Maximum" });
		return this.add(name, metric, { description, threshold: seconds, minutes: 3 });
	}

	/** What a handler counts and should not have to. */
	counted(name: string, metric: IMetric, description: string, window: AlarmWindow = {}): Alarm {
		return this.add(name, metric, { description, threshold: 0, ...window });
	}

	errors(name: string, fn: IFunction, description: string): Alarm {
		return this.add(name, fn.metricErrors({ period: PERIOD, statistic: "Sum" }), {
			description,
			threshold: 5,
			minutes: 3,
		});
	}

	/**
	 * Of a function that reads a queue: what ends it comes again only after the visibility timeout, once in some minutes, and
	 * SQS's age of the oldest message leaves it out after some receives.
	 */
	readerErrors(name: string, fn: IFunction, description: string): Alarm {
		const metric = fn.metricErrors({ period: PERIOD, statistic: "Sum" });
		return this.add(name, metric, { description, threshold: 0, minutes: 3, outOf: 10 });
	}

	throttles(name: string, fn: IFunction, description: string): Alarm {
		return this.add(name, fn.metricThrottles({ period: PERIOD, statistic: "Sum" }), {
			description,
			threshold: 0,
			minutes: 3,
		});
	}

	/** How far behind its stream a function is: measured when it is handed a batch, once in a run that takes all its time. */
	iteratorAge(name: string, fn: IFunction, milliseconds: number, description: string): Alarm {
		const metric = fn.metric("IteratorAge", { period: PERIOD, statistic: "Maximum" });
		return this.add(name, metric, { description, threshold: milliseconds, minutes: 2, outOf: 30 });
	}

	/** How far a replica lags behind. */
	replication(name: string, table: string, receivingRegion: string, milliseconds: number, description: string): Alarm {
		const metric = new Metric({
			namespace: "AWS/DynamoDB",
			metricName: "ReplicationLatency",
			dimensionsMap: { TableName: table, ReceivingRegion: receivingRegion },
			period: PERIOD,
			statistic: "Average",
		});
		return this.add(name, metric, { description, threshold: milliseconds, minutes: 5 });
	}
}
