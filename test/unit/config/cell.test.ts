import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { loadConfig } from "../../../lambda/layer/src/config/file/load.ts";
import { systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createAwsTransport } from "../../../lambda/layer/src/transports/aws/index.ts";
import { createScriptedAws, type ScriptedAws } from "../transports/aws/scripted-aws.ts";

const TOPIC = "arn:aws:sns:us-east-1:000000000000:dev-fanout-topic";
const CELL = {
	FANOUT_NAMESPACE: "mcp-cluster",
	FANOUT_LOG_TABLE: "log",
	FANOUT_SESSIONS_TABLE: "sessions",
	FANOUT_MAILBOX_NAME: "dev-fanout-mailbox.fifo",
	FANOUT_TOPIC_ARN: TOPIC,
	FANOUT_REGIONS: "us-east-1",
	FANOUT_RETENTION_SECONDS: "3600",
};

let aws: ScriptedAws;

beforeEach(async () => {
	aws = await createScriptedAws();
	aws.facts.set("GetParameter", { Parameter: { Value: JSON.stringify(CELL) } });
	vi.stubEnv("AWS_ENDPOINT_URL", aws.endpoint);
	vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
	vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await aws.close();
});

function load(more = "", environment: NodeJS.ProcessEnv = {}) {
	const path = join(mkdtempSync(join(tmpdir(), "fanout-cell-")), "fanout.toml");
	writeFileSync(
		path,
		`[notification.aws]
region = "us-east-1"
sqs_queue_url = "${aws.endpoint}/000000000000/dev-fanout-mailbox.fifo"
${more}`,
	);
	return loadConfig(path, environment).finally(() => rmSync(join(path, ".."), { recursive: true }));
}

async function start(more: string, attributes: Record<string, string>) {
	aws.facts.set("GetQueueAttributes", { Attributes: attributes });
	const { enabled: _enabled, priority: _priority, ...options } = (await load(more)).aws ?? {};
	const transport = createAwsTransport(
		{ ...options, follow: false },
		{ clock: systemClock, ids: createIds(systemClock) },
	);
	try {
		await transport.start({ report: () => {} }, new AbortController().signal);
	} finally {
		await transport.close();
	}
}

test("a cell that the environment does not tell is read from the parameter that the stacks write", async () => {
	const { aws: options } = await load();
	expect(options?.environment).toMatchObject(CELL);
	expect(aws.named("GetParameter")[0]).toMatchObject({
		region: "us-east-1",
		body: { Name: "/dev-fanout/environment" },
	});
	await load("", CELL);
	expect(aws.named("GetParameter")).toHaveLength(1);
});

test("a file that contradicts its cell is refused", async () => {
	const topic = `sns_topic_arn = "${TOPIC}-other"\n`;
	const wrong = load(`${topic}[notification]\ncluster_id = "another"\n`);
	await expect(wrong).rejects.toMatchObject({
		code: "ConfigInvalid",
		data: {
			problems: [{ key: "notification.aws.sns_topic_arn" }, { key: "notification.cluster_id", allowed: "mcp-cluster" }],
		},
	});
});

test("the mailbox queue is compared with what the file says of it, when the transport starts", async () => {
	const fifo = { FifoQueue: "true", VisibilityTimeout: "180" };
	await start("visibility_timeout_seconds = 180\n", fifo);
	expect(aws.named("GetQueueAttributes")).toHaveLength(1);
	await expect(start("visibility_timeout_seconds = 30\n", fifo)).rejects.toMatchObject({
		code: "ConfigInvalid",
		message: expect.stringMatching(/visibility timeout of 180 s, and visibility_timeout_seconds says 30$/),
	});
	await expect(start("", { VisibilityTimeout: "30" })).rejects.toThrow(/is no FIFO queue/);
});

test("a secret that the file names by ARN is read from its own region, only for transports that run", async () => {
	aws.facts.set("GetSecretValue", { SecretString: "hunter2" });
	const arn = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:nats-AbCdEf";
	const table = `[notification.nats]\nuser = "me"\npassword = "${arn}"\n`;
	const { nats } = await load(table, CELL);
	expect(nats).toMatchObject({ user: "me", password: "hunter2" });
	expect(aws.named("GetSecretValue")).toMatchObject([{ region: "eu-west-1", body: { SecretId: arn } }]);
	await load(`${table}enabled = false\n`, CELL);
	expect(aws.named("GetSecretValue")).toHaveLength(1);
	aws.answer = ({ action }) => (action === "GetSecretValue" ? { status: 400, code: "AccessDenied" } : undefined);
	await expect(load(table, CELL)).rejects.toThrow(/reading the secret arn:\S+ failed: AccessDenied/);
});
