import { type CfnResource, Duration, RemovalPolicy, Stack } from "aws-cdk-lib";
import { StreamGrants } from "aws-cdk-lib/aws-dynamodb";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { EventSourceMapping, FilterCriteria, type IFunction, StartingPosition } from "aws-cdk-lib/aws-lambda";
import { SqsDlq } from "aws-cdk-lib/aws-lambda-event-sources";
import { LogGroup, type RetentionDays } from "aws-cdk-lib/aws-logs";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import { AwsCustomResource, AwsCustomResourcePolicy, PhysicalResourceId } from "aws-cdk-lib/custom-resources";
import { Construct } from "constructs";

/** What both a template and a script must use to connect `sync` to a region's stream of the sessions table. */
export const SYNC_SOURCE = {
	/**
	 * Not the latest: that may miss what is written while the source is made or changed, which takes minutes, and whoever
	 * follows a session that moved then would not be told. What was seen before is no harm: sync asks where the home is, and
	 * passes over a move that was undone.
	 * https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
	 */
	startingPosition: "TRIM_HORIZON",
	batchSize: 25,
	/**
	 * By age and not by attempts, which a short refusal of another region's mailbox uses up in seconds: records that make no
	 * sense are passed over, so what fails does so for a time.
	 */
	maxRecordAgeSeconds: 60 * 60,
	/** Only what another region wrote can move a session away from here. */
	filter: (region: string) => ({
		eventName: ["INSERT", "MODIFY"],
		dynamodb: { NewImage: { region: { S: [{ "anything-but": [region] }] } } },
	}),
} as const;

export interface SyncSourceProps {
	readonly sync: IFunction;
	readonly streamArn: string;
	readonly region: string;
	readonly failures: IQueue;
}

/** `sync` reads this region's stream of the sessions table. */
export class SyncSource extends Construct {
	constructor(scope: Construct, id: string, props: SyncSourceProps) {
		super(scope, id);
		new StreamGrants({ tableStreamArn: props.streamArn }).actions(
			props.sync,
			"dynamodb:DescribeStream",
			"dynamodb:GetRecords",
			"dynamodb:GetShardIterator",
			"dynamodb:ListStreams",
		);
		new EventSourceMapping(this, "Source", {
			target: props.sync,
			eventSourceArn: props.streamArn,
			startingPosition: StartingPosition[SYNC_SOURCE.startingPosition],
			batchSize: SYNC_SOURCE.batchSize,
			reportBatchItemFailures: true,
			bisectBatchOnError: true,
			maxRecordAge: Duration.seconds(SYNC_SOURCE.maxRecordAgeSeconds),
			onFailure: new SqsDlq(props.failures),
			filters: [FilterCriteria.filter(SYNC_SOURCE.filter(props.region))],
		});
	}
}

/**
 * The stream of a replica, looked up in its own region when the stack is first deployed, and again when `lookUp` is another
 * than it was: `replica().tableStreamArn` in the primary's stack only gives `…/stream/*`, which is no event source.
 */
export function replicaStreamArn(
	scope: Construct,
	tableName: string,
	region: string,
	logRetention: RetentionDays,
	lookUp: string | undefined,
): string {
	const describe = {
		service: "DynamoDB",
		action: "describeTable",
		region,
		parameters: { TableName: tableName },
		physicalResourceId: PhysicalResourceId.fromResponse("Table.LatestStreamArn"),
		outputPaths: ["Table.LatestStreamArn"],
	};
	const logGroup = new LogGroup(scope, "ReplicaStreamLogs", {
		retention: logRetention,
		removalPolicy: RemovalPolicy.DESTROY,
	});
	const role = new Role(scope, "ReplicaStreamRole", { assumedBy: new ServicePrincipal("lambda.amazonaws.com") });
	logGroup.grants.write(role);
	const lookup = new AwsCustomResource(scope, "ReplicaStream", {
		role,
		logGroup,
		resourceType: "Custom::ReplicaStream",
		onUpdate: describe,
		policy: AwsCustomResourcePolicy.fromSdkCalls({
			resources: [Stack.of(scope).formatArn({ service: "dynamodb", resource: "table", resourceName: tableName })],
		}),
		installLatestAwsSdk: false,
	});
	// CloudFormation asks again only for a resource that has changed; the one that asks DynamoDB reads no such property.
	if (lookUp !== undefined) {
		(lookup.node.findChild("Resource").node.defaultChild as CfnResource).addPropertyOverride("LookUp", lookUp);
	}
	return lookup.getResponseField("Table.LatestStreamArn");
}
