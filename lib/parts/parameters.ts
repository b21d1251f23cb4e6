import { Stack } from "aws-cdk-lib";
import { ParameterTier, StringParameter } from "aws-cdk-lib/aws-ssm";
import { Construct } from "constructs";
import { type CellEnvironment, environmentParameterName, parameterName } from "mcp-fanout-cdk";

export interface ParametersProps {
	readonly prefix: string;
	readonly environment: CellEnvironment;
	readonly facts: Readonly<Record<string, string>>;
}

/** What a process outside these stacks must know: SAM, Terraform, SST, containers, other CDK apps. No secret among it. */
export class Parameters extends Construct {
	constructor(scope: Construct, id: string, props: ParametersProps) {
		super(scope, id);
		const { prefix, environment } = props;
		const put = (constructId: string, name: string, value: string) =>
			new StringParameter(this, constructId, { parameterName: name, stringValue: value, tier: ParameterTier.STANDARD });
		put("environment", parameterName(prefix, "environment"), Stack.of(this).toJsonString(environment));
		for (const [name, value] of Object.entries(environment)) put(name, environmentParameterName(prefix, name), value);
		for (const [fact, value] of Object.entries(props.facts)) put(fact, parameterName(prefix, fact), value);
	}
}
