/** One region's deployed cell as its SSM parameters and the region's own API describe it. */
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { LambdaClient, paginateListFunctions } from "@aws-sdk/client-lambda";
import { SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { SQSClient } from "@aws-sdk/client-sqs";
import { GetParameterCommand, SSMClient } from "@aws-sdk/client-ssm";
import { ENV, type EnvName } from "mcp-fanout/env-names";

/** The ENV map that `FanoutLayer.attach` sets, for processes outside CloudFormation. */
export type CellEnvironment = Readonly<Record<EnvName, string>>;

export interface Cell {
	readonly region: string;
	readonly environment: CellEnvironment;
	/** HTTP address of the Lambda-hosted MCP server. */
	readonly mcpServerUrl: string;
}

export interface CellClients {
	readonly dynamo: DynamoDBClient;
	readonly lambda: LambdaClient;
	readonly secrets: SecretsManagerClient;
	readonly sqs: SQSClient;
	readonly ssm: SSMClient;
	destroy(): void;
}

export function createCellClients(region: string, env: Readonly<Record<string, string>>): CellClients {
	const config = {
		region,
		endpoint: env.AWS_ENDPOINT_URL as string,
		credentials: {
			accessKeyId: env.AWS_ACCESS_KEY_ID as string,
			secretAccessKey: env.AWS_SECRET_ACCESS_KEY as string,
		},
	};
	const clients = {
		dynamo: new DynamoDBClient(config),
		lambda: new LambdaClient(config),
		secrets: new SecretsManagerClient(config),
		sqs: new SQSClient(config),
		ssm: new SSMClient(config),
	};
	return { ...clients, destroy: () => Object.values(clients).forEach((client) => void client.destroy()) };
}

export async function readCell(clients: CellClients, prefix: string, region: string): Promise<Cell> {
	const parameter = async (name: string): Promise<string> => {
		const { Parameter } = await clients.ssm.send(new GetParameterCommand({ Name: `/${prefix}/${name}` }));
		if (Parameter?.Value === undefined) throw new Error(`no parameter /${prefix}/${name} in ${region}`);
		return Parameter.Value;
	};
	const [environment, mcpServerUrl] = await Promise.all([parameter("environment"), parameter("mcp-server-url")]);
	return { region, environment: checkEnvironment(JSON.parse(environment), region), mcpServerUrl };
}

function checkEnvironment(value: unknown, region: string): CellEnvironment {
	if (typeof value !== "object" || value === null)
		throw new Error(`the environment parameter of ${region} is no object`);
	for (const name of Object.values(ENV)) {
		const text = (value as Record<string, unknown>)[name];
		if (typeof text !== "string" || text === "") throw new Error(`${name} is missing in the environment of ${region}`);
		if (text.includes("${Token[")) throw new Error(`${name} of ${region} holds an unresolved token`);
	}
	return value as CellEnvironment;
}

/** The function whose Powertools service is `<environment>-fanout-<handler>`: names are generated. */
export async function functionOf(client: LambdaClient, handler: string): Promise<string> {
	for await (const page of paginateListFunctions({ client }, {})) {
		for (const { FunctionName, Environment } of page.Functions ?? []) {
			const service = Environment?.Variables?.POWERTOOLS_SERVICE_NAME;
			if (service?.endsWith(`-fanout-${handler}`) && FunctionName !== undefined) return FunctionName;
		}
	}
	throw new Error(`no function of the handler ${handler}`);
}
