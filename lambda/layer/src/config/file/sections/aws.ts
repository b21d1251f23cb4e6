/**
 * `[notification.aws]`: the cell of the own region. Topic and mailbox may be named here; the cell's other names come
 * from the environment that FanoutLayer.attach sets, or from the SSM parameter `/<parameter_prefix>/environment` that
 * the stacks write. What AWS fixes is refused when it says otherwise; what the queue has is compared when dialled.
 */
import { DEFAULT_PRIORITY } from "../../../route/options.ts";
import {
	type AwsOptions,
	DEFAULT_CONNECT_TIMEOUT_MS,
	DEFAULT_MAX_PAYLOAD_BYTES,
	DEFAULT_REQUEST_TIMEOUT_MS,
} from "../../../transports/aws/options.ts";
import { ENV } from "../../env-names.ts";
import { fixed, flag, integer, text } from "../field.ts";
import { type Report, role, type Values } from "../section.ts";

const MAILBOX_SUFFIX = "-mailbox.fifo";
const QUEUE_HOST = /^(?:sqs\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?|([a-z0-9-]+)\.queue\.amazonaws\.com)$/;

export const awsShape = {
	enabled: flag(role.enabled, true),
	priority: integer(role.priority, DEFAULT_PRIORITY.aws, 0, 1_000),
	region: text("The own region. Default: AWS_REGION.", "a region such as us-east-1", /^[a-z]{2}(?:-[a-z]+)+-\d$/),
	sns_topic_arn: text(
		"The own region's topic of shared channels; a standard topic. Default: the cell's.",
		"the ARN of an SNS standard topic (a FIFO topic bounds what a whole region may publish)",
		/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:(?![\w-]*\.fifo$)[\w-]{1,256}$/,
	),
	sqs_queue_url: text(
		"The own region's mailbox queue. Other regions' are named by the SSM parameters `/<parameter_prefix>/mailbox-name` there, or as this one where the environment tells the cell. Default: the cell's.",
		"the address of an SQS queue, ending with its account and name",
		/^https?:\/\/[a-z0-9][a-z0-9.-]*(?::\d{1,5})?\/(?:[\w-]+\/)*\d{12}\/[\w-]{1,75}(?:\.fifo)?$/,
	),
	use_fifo: fixed(
		true,
		"the mailbox is a FIFO queue, since each channel's order is the queue's",
		"The mailbox is a FIFO queue.",
	),
	deduplication_window_seconds: fixed(
		300,
		"SQS fixes the window of a FIFO queue",
		"How long the queue remembers an envelope's id.",
	),
	visibility_timeout_seconds: integer(
		"What the mailbox queue has; compared with the queue when the transport starts, and refused when it has another.",
		undefined,
		0,
		43_200,
	),
	parameter_prefix: text(
		"Prefix of the SSM parameters that the stacks write. Default: the mailbox's name without `-mailbox.fifo`.",
		"1 to 128 letters, digits, or any of . - _",
		/^[\w.-]{1,128}$/,
	),
	endpoint: text(
		"Replaces the endpoint of every AWS service. Default: AWS_ENDPOINT_URL.",
		"an http(s) address",
		/^https?:\/\/[a-z0-9][a-z0-9.-]*(?::\d{1,5})?\/?$/,
	),
	connect_timeout_ms: integer("Deadline of a WebSocket connection.", DEFAULT_CONNECT_TIMEOUT_MS, 1, 600_000),
	request_timeout_ms: integer("Deadline of one request on it.", DEFAULT_REQUEST_TIMEOUT_MS, 1, 600_000),
	max_payload_bytes: integer("Largest encoded envelope.", DEFAULT_MAX_PAYLOAD_BYTES, 1, 120 * 1024),
};

export interface AwsPlan {
	readonly options: AwsOptions;
	/** Set when the environment does not tell the cell: the SSM parameter to read, and what it must not contradict. */
	readonly parameter?: string;
	readonly stated: Readonly<Record<string, string>>;
}

const NEEDED = [ENV.logTable, ENV.sessionsTable, ENV.regions, ENV.retentionSeconds] as const;

export function awsPlan(
	values: Values<typeof awsShape>,
	isEnabled: boolean,
	environment: NodeJS.ProcessEnv,
	report: Report,
): AwsPlan {
	const { sns_topic_arn: topic, sqs_queue_url: queue } = values;
	const region = values.region ?? environment.AWS_REGION;
	const name = queue?.slice(queue.lastIndexOf("/") + 1);
	const topicRegion = topic?.split(":")[3];
	const queueHost = QUEUE_HOST.exec(queue?.split(/[/:]+/)[1] ?? "");
	const queueRegion = queueHost?.[1] ?? queueHost?.[2];
	if (region !== undefined && topicRegion !== undefined && topicRegion !== region) {
		report("sns_topic_arn", { message: "is a topic of another region", found: topicRegion, allowed: region });
	}
	if (region !== undefined && queueRegion !== undefined && queueRegion !== region) {
		report("sqs_queue_url", { message: "is a queue of another region", found: queueRegion, allowed: region });
	}
	if (name !== undefined && !name.endsWith(".fifo")) {
		report("sqs_queue_url", {
			message: "must be a FIFO queue (use_fifo)",
			found: name,
			allowed: "a name that ends with .fifo",
		});
	}

	const stated: Record<string, string> = {
		...(topic !== undefined && { [ENV.topicArn]: topic }),
		...(name !== undefined && { [ENV.mailboxName]: name }),
	};
	const cell: Record<string, string | undefined> = {};
	for (const variable of Object.values(ENV)) cell[variable] = environment[variable];
	const isTold = NEEDED.every((variable) => (cell[variable] ?? "") !== "");
	const prefix =
		values.parameter_prefix ?? (name?.endsWith(MAILBOX_SUFFIX) ? name.slice(0, -MAILBOX_SUFFIX.length) : undefined);
	if (isEnabled) {
		if (region === undefined) report("region", { message: "is not given, and AWS_REGION is not set" });
		if (isTold) contradictions(cell, stated, report);
		else if (prefix === undefined && (name?.endsWith(".fifo") ?? true)) {
			report(undefined, {
				message: "does not tell the cell",
				allowed: `parameter_prefix, or ${NEEDED.join(", ")} in the environment (FanoutLayer.attach sets them)`,
			});
		}
	}
	const { visibility_timeout_seconds: visibilityTimeoutSeconds } = values;
	const isChecked = queue !== undefined || visibilityTimeoutSeconds !== undefined;
	return {
		options: {
			environment: { ...cell, ...stated },
			region,
			endpoint: values.endpoint,
			connectTimeoutMs: values.connect_timeout_ms,
			requestTimeoutMs: values.request_timeout_ms,
			maxPayloadBytes: values.max_payload_bytes,
			...((!isTold || values.parameter_prefix !== undefined) && { parameterPrefix: prefix }),
			...(isChecked && { mailbox: { url: queue, visibilityTimeoutSeconds } }),
		},
		stated,
		...(!isTold && prefix !== undefined && { parameter: `/${prefix}/environment` }),
	};
}

/** What a file states about a cell that says otherwise. */
export function contradictions(
	cell: Readonly<Record<string, string | undefined>>,
	stated: Readonly<Record<string, string>>,
	report: Report,
): void {
	const keys = { [ENV.topicArn]: "sns_topic_arn", [ENV.mailboxName]: "sqs_queue_url" };
	for (const [variable, key] of Object.entries(keys)) {
		const told = cell[variable];
		if (told === undefined || told === "" || stated[variable] === undefined || stated[variable] === told) continue;
		report(key, { message: `is not the cell's (${variable})`, found: stated[variable], allowed: told });
	}
}
