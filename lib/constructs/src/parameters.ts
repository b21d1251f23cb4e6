import { ArnFormat, Stack } from "aws-cdk-lib";
import { type ITableRef, TableV2 } from "aws-cdk-lib/aws-dynamodb";
import { type ILayerVersion, LayerVersion } from "aws-cdk-lib/aws-lambda";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Topic } from "aws-cdk-lib/aws-sns";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import type { Construct } from "constructs";
import { ENV, type EnvName } from "mcp-fanout/env-names";
import type { CellEnvironment, FanoutCell } from "./cell.ts";
import { cellNames, environmentParameterName, parameterName } from "./names.ts";

export interface ParameterOptions {
	/** `<environment>-fanout` */
	readonly prefix: string;
	/** Regions of the environment, so that grants name them. @default any region of the account */
	readonly regions?: readonly string[];
}

/** A cell of this region and account that other stacks deployed; values are read when the caller's stack is deployed. */
export function cellFromParameters(scope: Construct, options: ParameterOptions): FanoutCell {
	const { prefix } = options;
	const stack = Stack.of(scope);
	const names = cellNames(prefix);
	const read = (name: string) => StringParameter.valueForStringParameter(scope, name);
	// Read when asked for: a template parameter that nothing refers to is a warning in the caller's stack.
	const environment = Object.defineProperties(
		{},
		Object.fromEntries(
			Object.values(ENV).map((name: EnvName) => [
				name,
				{ enumerable: true, get: () => read(environmentParameterName(prefix, name)) },
			]),
		),
	) as CellEnvironment;
	const mailboxes = (options.regions ?? ["*"]).map((region) =>
		Queue.fromQueueArn(
			scope,
			`Mailbox-${region === "*" ? "any" : region}`,
			stack.formatArn({ service: "sqs", region, resource: names.mailbox }),
		),
	);
	let log: ITableRef | undefined;
	let owners: ITableRef | undefined;
	return {
		environment,
		get logTable() {
			log ??= TableV2.fromTableName(scope, "Log", environment[ENV.logTable]);
			return log;
		},
		get ownersTable() {
			owners ??= TableV2.fromTableName(scope, "Owners", environment[ENV.ownersTable]);
			return owners;
		},
		sessionsTable: TableV2.fromTableName(scope, "Sessions", names.sessions),
		topic: Topic.fromTopicArn(
			scope,
			"Topic",
			stack.formatArn({ service: "sns", resource: names.topic, arnFormat: ArnFormat.NO_RESOURCE_NAME }),
		),
		mailboxes,
		get backendConnectArn() {
			return read(parameterName(prefix, "backend-connect-arn"));
		},
		ticketSecret: Secret.fromSecretNameV2(scope, "TicketSecret", names.ticketSecret),
	};
}

export function layerFromParameters(scope: Construct, options: ParameterOptions): ILayerVersion {
	const arn = StringParameter.valueForStringParameter(scope, parameterName(options.prefix, "layer-arn"));
	return LayerVersion.fromLayerVersionArn(scope, "Layer", arn);
}
