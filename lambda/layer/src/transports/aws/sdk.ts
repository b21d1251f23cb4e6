/**
 * The one file that loads AWS's client library: lazily and by `require`, so that importing the package loads none of
 * it, and so that inside Lambda (where NODE_PATH names the runtime's own copy) it is found without being bundled.
 * One keep-alive client per service and region. Retries are the caller's: the clients try at most twice.
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { createRequire } from "node:module";
import type * as Management from "@aws-sdk/client-apigatewaymanagementapi";
import type * as Dynamo from "@aws-sdk/client-dynamodb";
import type * as Secrets from "@aws-sdk/client-secrets-manager";
import type * as Sns from "@aws-sdk/client-sns";
import type * as Sqs from "@aws-sdk/client-sqs";
import type * as Ssm from "@aws-sdk/client-ssm";
import type * as Document from "@aws-sdk/lib-dynamodb";
import type { Clock } from "../../core/clock.ts";
import { FanoutError } from "../../core/errors.ts";
import { type Credentials, signAddress } from "./sign.ts";

export type { Credentials } from "./sign.ts";

/** Attempts per call, the first included: queues and lanes above retry with their own order and deadline. */
export const CLIENT_ATTEMPTS = 2;
/** Sockets per host: posts to connections go out in parallel, and the library's default is 50. */
export const MAX_SOCKETS = 512;
export const CONNECT_TIMEOUT_MS = 2_000;
export const REQUEST_TIMEOUT_MS = 5_000;

interface Modules {
	"@aws-sdk/client-dynamodb": typeof Dynamo;
	"@aws-sdk/lib-dynamodb": typeof Document;
	"@aws-sdk/client-sqs": typeof Sqs;
	"@aws-sdk/client-sns": typeof Sns;
	"@aws-sdk/client-secrets-manager": typeof Secrets;
	"@aws-sdk/client-ssm": typeof Ssm;
	"@aws-sdk/client-apigatewaymanagementapi": typeof Management;
}

// A bundle in CommonJS form has no import.meta.url; the working directory then serves as the place to look from.
const requireFrom = createRequire(import.meta.url || `file://${process.cwd()}/`);

function load<Name extends keyof Modules>(name: Name): Modules[Name] {
	try {
		return requireFrom(name) as Modules[Name];
	} catch (cause) {
		throw new FanoutError(
			"DependencyMissing",
			`the aws transport needs ${name}, which could not be loaded: install it beside mcp-fanout (Lambda's Node.js runtimes carry it)`,
			{ cause, data: { module: name } },
		);
	}
}

/** The client modules (commands and exceptions), each loaded when first touched. */
export const aws = {
	get dynamo() {
		return load("@aws-sdk/client-dynamodb");
	},
	get document() {
		return load("@aws-sdk/lib-dynamodb");
	},
	get sqs() {
		return load("@aws-sdk/client-sqs");
	},
	get sns() {
		return load("@aws-sdk/client-sns");
	},
	get secrets() {
		return load("@aws-sdk/client-secrets-manager");
	},
	get ssm() {
		return load("@aws-sdk/client-ssm");
	},
	get management() {
		return load("@aws-sdk/client-apigatewaymanagementapi");
	},
};

export type DynamoClient = Document.DynamoDBDocumentClient;
export type SqsClient = Sqs.SQSClient;
export type SnsClient = Sns.SNSClient;
export type SecretsClient = Secrets.SecretsManagerClient;
export type SsmClient = Ssm.SSMClient;
export type ManagementClient = Management.ApiGatewayManagementApiClient;
export interface AwsClientsOptions {
	/** The own region. */
	readonly region: string;
	/** Replaces every service's endpoint; the library also reads AWS_ENDPOINT_URL by itself. */
	readonly endpoint?: string | undefined;
	readonly credentials?: Credentials | undefined;
	/** Attempts per call to queues and topics; default CLIENT_ATTEMPTS. After a second one, nobody knows what became of the first. */
	readonly sendAttempts?: number | undefined;
}

export interface AwsClients {
	readonly region: string;
	dynamo(region?: string): DynamoClient;
	sqs(region?: string): SqsClient;
	sns(region?: string): SnsClient;
	secrets(region?: string): SecretsClient;
	ssm(region?: string): SsmClient;
	/** `endpoint` is an API's @connections address (https://…/stage). */
	management(endpoint: string): ManagementClient;
	/** A WebSocket address of an API with IAM authorisation, signed for one handshake within `seconds`. */
	signSocket(url: string, seconds: number): Promise<string>;
	/** Closes the sockets that no call uses now. */
	rest(): void;
	/** Idempotent; closes every socket. */
	close(): void;
}

export function createAwsClients(options: AwsClientsOptions): AwsClients {
	const made = new Map<string, { destroy(): void }>();
	const sending = { maxAttempts: options.sendAttempts ?? CLIENT_ATTEMPTS };
	const keeping = { keepAlive: true, maxSockets: MAX_SOCKETS };
	const agents = { plain: new HttpAgent(keeping), secure: new HttpsAgent(keeping) };
	const config = (region: string, endpoint: string | undefined = options.endpoint) => ({
		region,
		maxAttempts: CLIENT_ATTEMPTS,
		requestHandler: {
			connectionTimeout: CONNECT_TIMEOUT_MS,
			requestTimeout: REQUEST_TIMEOUT_MS,
			// Without it the library only warns.
			throwOnRequestTimeout: true,
			httpAgent: agents.plain,
			httpsAgent: agents.secure,
		},
		...(endpoint === undefined ? {} : { endpoint }),
		...(options.credentials === undefined ? {} : { credentials: options.credentials }),
	});
	const once = <Client extends { destroy(): void }>(key: string, make: () => Client): Client => {
		const known = made.get(key) as Client | undefined;
		if (known !== undefined) return known;
		const client = make();
		made.set(key, client);
		return client;
	};
	const sqs = (region = options.region) =>
		once(`sqs ${region}`, () => new aws.sqs.SQSClient({ ...config(region), ...sending }));
	return {
		region: options.region,
		dynamo: (region = options.region) =>
			once(`dynamo ${region}`, () => {
				const base = new aws.dynamo.DynamoDBClient(config(region));
				const client = aws.document.DynamoDBDocumentClient.from(base, {
					marshallOptions: { removeUndefinedValues: true },
				});
				// The document client's own destroy leaves the sockets of the client it wraps open.
				const destroy = client.destroy.bind(client);
				client.destroy = () => {
					destroy();
					base.destroy();
				};
				return client;
			}),
		sqs,
		sns: (region = options.region) =>
			once(`sns ${region}`, () => new aws.sns.SNSClient({ ...config(region), ...sending })),
		secrets: (region = options.region) =>
			once(`secrets ${region}`, () => new aws.secrets.SecretsManagerClient(config(region))),
		ssm: (region = options.region) => once(`ssm ${region}`, () => new aws.ssm.SSMClient(config(region))),
		management: (endpoint) =>
			once(
				`management ${endpoint}`,
				// The poster repeats by itself: a repetition in here would hide a throttle behind the post's deadline.
				() => new aws.management.ApiGatewayManagementApiClient({ ...config(options.region, endpoint), maxAttempts: 1 }),
			),
		async signSocket(url, seconds) {
			// Any client's provider: it refreshes credentials before they end.
			const credentials = await sqs().config.credentials();
			return signAddress(url, { region: options.region, credentials, nowMs: Date.now(), seconds });
		},
		rest() {
			for (const { freeSockets } of Object.values(agents)) {
				for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy();
			}
		},
		close() {
			for (const client of made.values()) client.destroy();
			made.clear();
		},
	};
}

export interface Dates {
	/** How far the service's clock is ahead of this one, to a second; undefined before an answer told it. */
	readonly skewMs: number | undefined;
}

/** Compares the dates of a client's answers, refusals too, with the clock. The library itself tells only what is minutes off. */
export function watchDates({ middlewareStack }: SqsClient, clock: Pick<Clock, "now">): Dates {
	let skewMs: number | undefined;
	middlewareStack.add(
		(next) => async (args) => {
			const from = clock.now();
			const result = await next(args);
			const { headers } = (result.response ?? {}) as { readonly headers?: Readonly<Record<string, string>> };
			const told = Date.parse(headers?.date ?? "");
			if (!Number.isNaN(told)) skewMs = told - (from + clock.now()) / 2;
			return result;
		},
		// Next to the wire: behind it a refusal is an exception, without its date.
		{ step: "deserialize", priority: "low", name: "fanoutDates" },
	);
	return {
		get skewMs() {
			return skewMs;
		},
	};
}

/** True when a call failed by the service's exception of this name. */
export function isAwsError(error: unknown, ...names: readonly string[]): boolean {
	return error instanceof Error && names.includes(error.name);
}
