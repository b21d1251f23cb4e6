import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseConfig } from "../../../lambda/layer/src/config/file/parse.ts";
import type { Problem } from "../../../lambda/layer/src/config/file/problems.ts";
import { resolveOptions } from "../../../lambda/layer/src/config/options.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { ROOT } from "../../support/root.ts";

const MISSION = readFileSync(join(import.meta.dirname, "mission.toml"), "utf8");
const LOCAL = "[notification.local]\n";
const AWS = `[notification.aws]
region = "us-east-1"
sqs_queue_url = "https://sqs.us-east-1.amazonaws.com/123456789012/dev-fanout-mailbox.fifo"
`;

const read = (text: string | undefined, environment: NodeJS.ProcessEnv = {}) =>
	parseConfig({ file: "fanout.toml", text }, environment);

function problemsOf(text: string | undefined, environment: NodeJS.ProcessEnv = {}): readonly Problem[] {
	try {
		read(text, environment);
	} catch (error) {
		const { code, data } = error as FanoutError;
		expect(code).toBe("ConfigInvalid");
		return data.problems as readonly Problem[];
	}
	throw new Error("nothing was refused");
}

function problemOf(text: string | undefined, environment: NodeJS.ProcessEnv = {}): Problem {
	const problems = problemsOf(text, environment);
	expect(problems).toHaveLength(1);
	return problems[0] as Problem;
}

test("the mission's file loads and means what it says", () => {
	const { options } = read(MISSION);
	expect(options).toMatchObject({
		namespace: "mcp-cluster",
		timeoutMs: 5_000,
		fallbackStrategy: "local",
		streams: { maxStreams: 10_000 },
		local: { enabled: true, priority: 1 },
		nats: {
			enabled: true,
			priority: 2,
			servers: ["nats://nats-1:4222", "nats://nats-2:4222"],
			clientName: "mcp-instance-{instance_id}",
			prefix: "mcp.notifications",
			streamName: "mcp_notifications",
			jetstream: true,
			maxAgeMs: 86_400_000,
			maxMessages: 1_000_000,
		},
		aws: { enabled: false, priority: 3, region: "us-east-1", mailbox: { visibilityTimeoutSeconds: 30 } },
		routing: {
			rules: [
				{ condition: { type: "notifications/progress" }, targets: ["local", "nats"], continueOnMatch: false },
				{ condition: { sessionPattern: "lambda-*" }, targets: ["aws"], continueOnMatch: true },
				{ condition: "always", targets: ["local"], continueOnMatch: false },
			],
		},
	});
	const settings = resolveOptions(options, {});
	expect(settings.nats?.servers).toHaveLength(2);
	expect(settings.aws).toBeUndefined();
	expect(settings.redis).toBeUndefined();
});

test("all that is wrong is told at once, with line, found, allowed and the nearest name", () => {
	const broken = MISSION.replace("max_msgs =", "max_msg =")
		.replace("= 300", "= 301")
		.replace("session_pattern =", "session_patern =")
		.replace("timeout_ms = 5000", 'timeout_ms = "5s"')
		.replace('"24h"', '"24 hours"')
		.replace('["aws"]', '["awz"]');
	const problems = problemsOf(`${broken}\n[metrics]\nport = 1\n`, {
		FANOUT_NATS_SERVRES: "nats://elsewhere:4222",
		FANOUT_LOCAL_PRIORITY: "first",
	});
	const line = (text: string) => broken.split("\n").findIndex((each) => each.includes(text)) + 1;
	expect(problems).toEqual([
		expect.objectContaining({ file: "environment", key: "FANOUT_NATS_SERVRES", nearest: "FANOUT_NATS_SERVERS" }),
		expect.objectContaining({ file: "environment", key: "FANOUT_LOCAL_PRIORITY", found: '"first"' }),
		expect.objectContaining({ key: "notification.timeout_ms", line: line("timeout_ms"), found: '"5s"' }),
		expect.objectContaining({ key: "notification.nats.max_age", line: line("max_age") }),
		expect.objectContaining({ key: "notification.nats.max_msg", line: line("max_msg"), nearest: "max_msgs" }),
		expect.objectContaining({
			key: "notification.aws.deduplication_window_seconds",
			line: line("= 301"),
			found: "301",
		}),
		expect.objectContaining({
			key: "notification.routing.rules.1.condition.session_patern",
			line: line("session_patern"),
			nearest: "session_pattern",
		}),
		expect.objectContaining({ key: "notification.routing.rules.1.targets.0", line: line("awz"), nearest: "aws" }),
		expect.objectContaining({ key: "metrics", allowed: "notification" }),
	]);
});

test("a text that is no TOML is told with its line, and without what the file holds", () => {
	const problem = problemOf(`${LOCAL}priority = 1\n[notification.nats]\ntoken = hunter2\n`);
	expect(problem).toMatchObject({ file: "fanout.toml", line: 4 });
	expect(JSON.stringify(problem)).not.toContain("hunter2");
});

test("secrets are refused in a file, never shown, and taken from the environment or an ARN", () => {
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:nats-AbCdEf";
	for (const text of [
		'[notification.nats]\nuser = "me"\npassword = "hunter2"\n',
		'[notification.nats]\nservers = ["nats://me:hunter2@host:4222"]\n',
		'[notification.nats]\nservers = ["hunter2@host:4222"]\n',
		'[notification.redis]\nurl = "redis://:hunter2@host:6379"\n',
	]) {
		const problems = problemsOf(text);
		expect(problems[0]?.message).toMatch(/not written into a file/);
		expect(JSON.stringify(problems)).not.toContain("hunter2");
	}
	const text = '[notification.nats]\nuser = "me"\n';
	expect(read(text, { FANOUT_NATS_PASSWORD: "hunter2" }).options.nats?.password).toBe("hunter2");
	expect(read(`${text}password = "${arn}"\n`).options.nats?.password).toBe(arn);
	const url = "redis://:hunter2@host:6379";
	expect(read("[notification.redis]\n", { FANOUT_REDIS_URL: url }).options.redis?.url).toBe(url);
	expect(
		JSON.stringify(problemsOf("[notification.redis]\n", { FANOUT_REDIS_URL: "http://:hunter2@host" })),
	).not.toContain("hunter2");
});

test("variables lie over the file, each by its own kind, and alone are a configuration", () => {
	const { options } = read(MISSION, {
		FANOUT_TIMEOUT_MS: "250",
		FANOUT_NATS_SERVERS: "nats://a:4222, nats://b:4222",
		FANOUT_NATS_USE_JETSTREAM: "false",
		FANOUT_NATS_MAX_AGE: "10m",
		FANOUT_BREAKER_JITTER: "0.5",
		FANOUT_ROUTING_RULES: '[{"condition":{"session_count":5000},"targets":["nats"]}]',
		FANOUT_LOCAL_FILE: "",
	});
	expect(options).toMatchObject({
		timeoutMs: 250,
		nats: { servers: ["nats://a:4222", "nats://b:4222"], jetstream: false, maxAgeMs: 600_000 },
		breaker: { jitter: 0.5 },
		routing: { rules: [{ condition: { sessionCount: 5_000 }, targets: ["nats"] }] },
	});
	expect(options.local?.file).toBeUndefined();
	expect(read(undefined, { FANOUT_STRATEGY: "nats" }).options.nats).toMatchObject({ enabled: true });
	const { key, file } = problemOf(MISSION, { FANOUT_ROUTING_RULES: '[{"condition":{"typ":"x"},"targets":["nats"]}]' });
	expect([file, key]).toEqual(["environment", "FANOUT_ROUTING_RULES.0.condition.typ"]);
});

test("what AWS fixes is not ignored", () => {
	const environment = { AWS_REGION: "us-east-1" };
	expect(read(AWS, environment).aws?.parameter).toBe("/dev-fanout/environment");
	expect(problemOf(`${AWS}use_fifo = false\n`, environment).allowed).toMatch(/^true: /);
	expect(problemOf(`${AWS}deduplication_window_seconds = 60\n`, environment).allowed).toMatch(/^300: /);
	const topic = (name: string, region: string) =>
		`${AWS}sns_topic_arn = "arn:aws:sns:${region}:123456789012:${name}"\n`;
	expect(problemOf(topic("t.fifo", "us-east-1"), environment).allowed).toMatch(/standard topic/);
	expect(problemOf(topic("t", "eu-west-1"), environment)).toMatchObject({ found: '"eu-west-1"', allowed: "us-east-1" });
	expect(problemOf(AWS.replace(".fifo", ""), environment).allowed).toBe("a name that ends with .fifo");
	expect(problemOf(AWS.replace("sqs.us-east-1", "sqs.eu-west-1"), environment).key).toBe(
		"notification.aws.sqs_queue_url",
	);
	expect(problemOf(AWS.replace("dev-fanout-mailbox", "other"), environment).message).toBe("does not tell the cell");
	const cell = {
		FANOUT_LOG_TABLE: "log",
		FANOUT_SESSIONS_TABLE: "sessions",
		FANOUT_REGIONS: "us-east-1",
		FANOUT_RETENTION_SECONDS: "3600",
		FANOUT_MAILBOX_NAME: "dev-fanout-mailbox.fifo",
	};
	const told = read(`${AWS}visibility_timeout_seconds = 30\n`, { ...environment, ...cell });
	expect(told.aws?.parameter).toBeUndefined();
	expect(told.options.aws?.mailbox).toMatchObject({ visibilityTimeoutSeconds: 30 });
	const elsewhere = { ...environment, ...cell, FANOUT_MAILBOX_NAME: "prod-fanout-mailbox.fifo" };
	expect(problemOf(AWS, elsewhere)).toMatchObject({ line: 3, message: "is not the cell's (FANOUT_MAILBOX_NAME)" });
});

test.each([
	[
		"a strategy beside other transports",
		'[notification]\nstrategy = "nats"\n[notification.redis]\nurl = "redis://h:1"\n',
		"notification.redis",
		3,
	],
	[
		"local where nothing falls back to it",
		'[notification]\nstrategy = "nats"\nfallback_strategy = "none"\n[notification.local]\nenabled = true\n',
		"notification.local.enabled",
		5,
	],
	[
		"a strategy that is not enabled",
		'[notification]\nstrategy = "nats"\n[notification.nats]\nenabled = false\n',
		"notification.strategy",
		2,
	],
	["a strategy without its place", '[notification]\nstrategy = "redis"\n', "notification.strategy", 2],
	["no transport at all", "[notification.nats]\nenabled = false\n", "notification.strategy", 1],
	[
		"rules without composite",
		`[notification]\nstrategy = "local"\n[[notification.routing.rules]]\ncondition = "always"\ntargets = ["local"]\n`,
		"notification.routing.rules",
		3,
	],
	[
		"a target without a table",
		`${LOCAL}[[notification.routing.rules]]\ncondition = "always"\ntargets = ["nats"]\n`,
		"notification.routing.rules.0.targets",
		4,
	],
	[
		"two namespaces",
		'[notification]\ncluster_id = "a"\n[notification.nats]\ncluster_id = "b"\n',
		"notification.nats.cluster_id",
		4,
	],
	[
		"two places of one store",
		'[notification.redis]\nurl = "redis://h:1"\ncluster_nodes = ["h:1"]\n',
		"notification.redis.cluster_nodes",
		3,
	],
	[
		"a rule without a condition",
		`${LOCAL}[[notification.routing.rules]]\ntargets = ["local"]\n`,
		"notification.routing.rules.0.condition",
		2,
	],
	[
		"two keys in a condition",
		`${LOCAL}[[notification.routing.rules]]\ncondition = { type = "a", session_count = 1 }\ntargets = ["local"]\n`,
		"notification.routing.rules.0.condition",
		3,
	],
	["a table that is none", "[notification]\nlocal = 1\n", "notification.local", 2],
	[
		"ways to log in",
		`[notification.nats]\ntoken = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a"\nuser = "me"\n`,
		"notification.nats",
		1,
	],
])("%s is refused at its place", (_name, text, key, line) => {
	const problems = problemsOf(text);
	expect(problems.map((problem) => problem.key)).toContain(key);
	expect(problems.find((problem) => problem.key === key)?.line).toBe(line);
});

test("one transport alone, with local as what its client streams fall back to", () => {
	const { options } = read('[notification]\nstrategy = "nats"\n[notification.local]\nmax_events_per_channel = 7\n');
	expect(options).toMatchObject({ nats: { enabled: true }, local: { enabled: true, maxEventsPerChannel: 7 } });
	// A fallback needs a breaker and an outbox, also before one target.
	expect(read('[notification]\nstrategy = "nats"\n').options).toMatchObject({ breaker: {}, nats: { enabled: true } });
	expect(read("[notification.local]\n").options.breaker).toBeUndefined();
	expect(read("[notification]\nstrategy = 'local'\n").options).toMatchObject({ local: { enabled: true } });
});

test("redis in its three places", () => {
	const sentinel = read(`[notification.redis]
sentinels = ["s1:26379", "[::1]:26379"]
sentinel_name = "main"
database = 2
wait_replicas = 1
max_age = "1h"
`).options.redis;
	expect(sentinel).toMatchObject({
		sentinel: {
			name: "main",
			nodes: [
				{ host: "s1", port: 26_379 },
				{ host: "::1", port: 26_379 },
			],
			db: 2,
		},
		wait: { replicas: 1 },
		retentionMs: 3_600_000,
	});
	expect(read('[notification.redis]\ncluster_nodes = ["h:7000"]\ntls = true\n').options.redis).toMatchObject({
		cluster: { nodes: [{ host: "h", port: 7_000 }] },
		tls: true,
	});
	expect(read('[notification.redis]\nurl = "rediss://h:6379/1"\n').options.redis?.url).toBe("rediss://h:6379/1");
});

test("the example of docs/configuration.md is one", () => {
	const [, text] = /```toml\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, "docs/configuration.md"), "utf8")) ?? [];
	expect(read(text).options.routing?.rules[0]?.condition).toEqual({
		all: [{ type: "notifications/progress" }, { not: { sessionPattern: "lambda-*" } }],
	});
});
