/**
 * What the aws transport may be told. The cell (names, addresses) comes from the environment map that the stacks
 * write; everything else has the default that is named here.
 */
import { ENV } from "../../config/env-names.ts";
import type { BackoffLimits } from "../../core/backoff.ts";
import { FanoutError } from "../../core/errors.ts";
import { checkNames } from "../../core/ranges.ts";
import type { WebSocketClass } from "./dial.ts";
import type { MailboxExpectation } from "./mailbox-check.ts";
import type { AwsClients } from "./sdk.ts";

export const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
export const DEFAULT_REQUEST_TIMEOUT_MS = 10_000;
export const DEFAULT_READY_TIMEOUT_MS = 15_000;
export const DEFAULT_PING_MS = 5 * 60_000;
export const DEFAULT_ROTATE_MS = 110 * 60_000;
export const DEFAULT_BACKOFF: BackoffLimits = { baseMs: 200, capMs: 20_000 };
export const DEFAULT_MAX_PAYLOAD_BYTES = 120 * 1024;
/** Queries to the regional log at once. */
export const DEFAULT_READ_CONCURRENCY = 16;

export interface AwsOptions {
	/** The cell, by the names of `mcp-fanout/env-names`; the process's environment when absent. */
	readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
	readonly region?: string | undefined;
	/** Replaces the endpoint of every AWS service; else AWS_ENDPOINT_URL, else AWS's own. */
	readonly endpoint?: string | undefined;
	/** False publishes and reads only: no WebSocket is ever opened. */
	readonly follow?: boolean | undefined;
	/** Ready clients; they stay open when the transport closes. */
	readonly clients?: AwsClients | undefined;
	readonly WebSocket?: WebSocketClass | undefined;
	/** What the own region's mailbox must be: asked of the queue at the start, which fails when it is not. */
	readonly mailbox?: MailboxExpectation | undefined;
	/**
	 * Prefix of the SSM parameters that the stacks write. With it another region's mailbox has the name that stands in
	 * `/<prefix>/mailbox-name` there, without it the own one's.
	 */
	readonly parameterPrefix?: string | undefined;
	readonly connectTimeoutMs?: number | undefined;
	readonly requestTimeoutMs?: number | undefined;
	readonly readyTimeoutMs?: number | undefined;
	readonly pingMs?: number | undefined;
	readonly rotateMs?: number | undefined;
	readonly backoff?: BackoffLimits | undefined;
	readonly maxPayloadBytes?: number | undefined;
	readonly readConcurrency?: number | undefined;
}

export interface AwsSettings {
	readonly region: string;
	readonly regions: readonly string[];
	readonly endpoint: string | undefined;
	readonly follow: boolean;
	readonly logTable: string;
	readonly sessionsTable: string;
	readonly mailboxName: string;
	readonly parameterPrefix: string | undefined;
	readonly topicArn: string;
	/** Empty when `follow` is false. */
	readonly backendApi: string;
	readonly retentionSeconds: number;
	readonly connectTimeoutMs: number;
	readonly requestTimeoutMs: number;
	readonly readyTimeoutMs: number;
	readonly pingMs: number;
	readonly rotateMs: number;
	readonly backoff: BackoffLimits;
	readonly maxPayloadBytes: number;
	readonly readConcurrency: number;
}

function invalid(name: string, what: string): FanoutError {
	return new FanoutError("ConfigInvalid", `${name} ${what}`, { data: { name } });
}

function positive(name: string, value: number): number {
	if (Number.isSafeInteger(value) && value > 0) return value;
	throw invalid(name, `must be a positive integer, not ${String(value)}`);
}

const KNOWN: Readonly<Record<keyof AwsOptions, true>> = {
	...{ environment: true, region: true, endpoint: true, follow: true, clients: true, WebSocket: true },
	...{
		mailbox: true,
		parameterPrefix: true,
		connectTimeoutMs: true,
		requestTimeoutMs: true,
		readyTimeoutMs: true,
		pingMs: true,
	},
	...{ rotateMs: true, backoff: true, maxPayloadBytes: true, readConcurrency: true },
};

export function resolveAwsOptions(options: AwsOptions): AwsSettings {
	checkNames("aws", options, KNOWN);
	const environment = options.environment ?? process.env;
	const need = (name: string): string => {
		const value = environment[name];
		if (value === undefined || value === "") {
			throw invalid(
				name,
				"is not set: the aws transport needs the environment that FanoutLayer.attach and the SSM parameter `environment` give",
			);
		}
		return value;
	};
	const region = options.region ?? environment.AWS_REGION ?? process.env.AWS_REGION;
	if (region === undefined || region === "") throw invalid("AWS_REGION", "is not set, and no region option was given");
	const regions = need(ENV.regions)
		.split(",")
		.map((name) => name.trim());
	if (!regions.includes(region)) throw invalid(ENV.regions, `does not name the own region ${region}`);
	const topicArn = need(ENV.topicArn);
	if (topicArn.split(":")[2] !== "sns" || topicArn.split(":")[3] !== region) {
		throw invalid(ENV.topicArn, `must be the ARN of an SNS topic in ${region}`);
	}
	const follow = options.follow ?? true;
	const backendApi = follow ? need(ENV.backendApi) : "";
	if (follow && !/^wss?:\/\/[^/]/.test(backendApi)) throw invalid(ENV.backendApi, "must be a ws:// or wss:// address");
	const number = (name: keyof AwsOptions & keyof AwsSettings, fallback: number) =>
		positive(`aws.${name}`, (options[name] as number | undefined) ?? fallback);
	return {
		region,
		regions,
		endpoint: options.endpoint ?? environment.AWS_ENDPOINT_URL ?? process.env.AWS_ENDPOINT_URL,
		follow,
		logTable: need(ENV.logTable),
		sessionsTable: need(ENV.sessionsTable),
		mailboxName: need(ENV.mailboxName),
		parameterPrefix: options.parameterPrefix,
		topicArn,
		backendApi,
		retentionSeconds: positive(ENV.retentionSeconds, Number(need(ENV.retentionSeconds))),
		connectTimeoutMs: number("connectTimeoutMs", DEFAULT_CONNECT_TIMEOUT_MS),
		requestTimeoutMs: number("requestTimeoutMs", DEFAULT_REQUEST_TIMEOUT_MS),
		readyTimeoutMs: number("readyTimeoutMs", DEFAULT_READY_TIMEOUT_MS),
		pingMs: number("pingMs", DEFAULT_PING_MS),
		rotateMs: number("rotateMs", DEFAULT_ROTATE_MS),
		backoff: options.backoff ?? DEFAULT_BACKOFF,
		maxPayloadBytes: number("maxPayloadBytes", DEFAULT_MAX_PAYLOAD_BYTES),
		readConcurrency: number("readConcurrency", DEFAULT_READ_CONCURRENCY),
	};
}
