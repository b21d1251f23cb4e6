/** What a process outside the stacks' templates asks AWS before it starts: a cell's environment, and secrets by ARN. */
import { systemClock } from "../../core/clock.ts";
import { withDeadline } from "../../core/deadline.ts";
import { FanoutError } from "../../core/errors.ts";
import { failureOf } from "./failure.ts";
import { type AwsClients, aws, createAwsClients } from "./sdk.ts";

const DEADLINE_MS = 10_000;

async function ask<T>(
	region: string,
	endpoint: string | undefined,
	what: string,
	call: (clients: AwsClients, abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
	const clients = createAwsClients({ region, endpoint: endpoint ?? process.env.AWS_ENDPOINT_URL });
	try {
		return await withDeadline(systemClock, DEADLINE_MS, what, (signal) => call(clients, signal));
	} catch (error) {
		throw failureOf(error, what).error;
	} finally {
		clients.close();
	}
}

/** The environment that the stacks wrote, by the names of env-names.ts. */
export async function readCell(
	name: string,
	region: string,
	endpoint: string | undefined,
): Promise<Readonly<Record<string, string>>> {
	const value = await ask(
		region,
		endpoint,
		`reading the SSM parameter ${name} in ${region}`,
		async (clients, abortSignal) => {
			const command = new aws.ssm.GetParameterCommand({ Name: name });
			return (await clients.ssm().send(command, { abortSignal })).Parameter?.Value;
		},
	);
	let cell: unknown;
	try {
		cell = JSON.parse(value ?? "");
	} catch (cause) {
		throw new FanoutError("ConfigInvalid", `the SSM parameter ${name} in ${region} holds no JSON`, { cause });
	}
	if (typeof cell !== "object" || cell === null || Object.values(cell).some((text) => typeof text !== "string")) {
		throw new FanoutError("ConfigInvalid", `the SSM parameter ${name} in ${region} is no map of texts`);
	}
	return cell as Record<string, string>;
}

export function readSecret(arn: string, region: string): Promise<string> {
	return ask(region, undefined, `reading the secret ${arn}`, async (clients, abortSignal) => {
		const command = new aws.secrets.GetSecretValueCommand({ SecretId: arn });
		const { SecretString } = await clients.secrets().send(command, { abortSignal });
		if (SecretString !== undefined) return SecretString;
		throw new FanoutError("ConfigInvalid", `the secret ${arn} holds no text`);
	});
}
