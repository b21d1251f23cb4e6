import { ENV } from "mcp-fanout/env-names";
import { expect, test } from "vitest";
import { ENVIRONMENTS } from "../../../lib/config/environments.ts";
import { at, type CfnResource, type Json, list, synthesise } from "../synth.ts";

const dev = synthesise("dev");
const queues = dev.resources("AWS::SQS::Queue");
const sources = dev.resources("AWS::Lambda::EventSourceMapping");

/** The resource of the same stack that a `Ref` or `Fn::GetAtt` names. */
function target(resource: CfnResource, reference: Json | undefined, type: string): CfnResource {
	const id = at(reference, "Ref") ?? at(reference, "Fn::GetAtt", 0);
	const found = dev.resources(type).find((other) => other.stack === resource.stack && other.id === id);
	if (found === undefined)
		throw new Error(`${resource.stack}/${resource.id} names no ${type}: ${JSON.stringify(reference)}`);
	return found;
}

const isFifo = (queue: CfnResource): boolean => queue.properties.FifoQueue === true;
const queueSources = sources
	.filter((source) => at(source.properties.EventSourceArn, "Fn::GetAtt", 0) !== undefined)
	.filter((source) =>
		queues.some(
			(queue) => queue.stack === source.stack && queue.id === at(source.properties.EventSourceArn, "Fn::GetAtt", 0),
		),
	);

test.each([
	["one mailbox", "MessagingMailbox", "dev-fanout-mailbox.fifo", 4 * 24 * 3600],
	// By then its readers have found in the log what they were not posted.
	["one queue of shards", "MessagingShards", undefined, 3600],
])(
	"every region has %s, and it is a high-throughput FIFO queue with explicit identities",
	(_one, id, name, seconds) => {
		const found = queues.filter((queue) => queue.id.startsWith(id));
		expect(found).toHaveLength(2);
		for (const { properties } of found) {
			expect(properties.QueueName).toBe(name);
			expect(properties).toMatchObject({
				FifoQueue: true,
				ContentBasedDeduplication: false,
				DeduplicationScope: "messageGroup",
				FifoThroughputLimit: "perMessageGroupId",
				MessageRetentionPeriod: seconds,
			});
		}
	},
);

test("no queue has a FIFO dead-letter queue, which would break order and identity", () => {
	for (const queue of queues.filter(isFifo)) expect(queue.properties.RedrivePolicy).toBeUndefined();
});

test("every queue is encrypted by SQS itself: the key of alias/aws/sqs cannot admit SNS", () => {
	for (const { properties } of queues) {
		expect(properties.SqsManagedSseEnabled).toBe(true);
		expect(properties.KmsMasterKeyId).toBeUndefined();
	}
});

test("what the mailbox and the relay take is far smaller than what the error queue takes, so that it can be copied", () => {
	const consumed = queueSources.map((source) => target(source, source.properties.EventSourceArn, "AWS::SQS::Queue"));
	for (const { properties, id } of consumed) expect(properties.MaximumMessageSize, id).toBe(256 * 1024);
	const errors = queues.filter(({ id }) => id.startsWith("MessagingErrors"));
	expect(errors).toHaveLength(2);
	for (const { properties } of errors) expect(properties.MaximumMessageSize).toBe(1024 * 1024);
});

test("every queue refuses plain HTTP", () => {
	const policies = dev.resources("AWS::SQS::QueuePolicy");
	for (const queue of queues) {
		const denied = policies
			.filter(
				(policy) =>
					policy.stack === queue.stack && list(policy.properties.Queues).some((ref) => at(ref, "Ref") === queue.id),
			)
			.flatMap((policy) => list(at(policy.properties.PolicyDocument, "Statement")))
			.some(
				(statement) =>
					at(statement, "Effect") === "Deny" && at(statement, "Condition", "Bool", "aws:SecureTransport") === "false",
			);
		expect(denied, `${queue.stack}/${queue.id}`).toBe(true);
	}
});

test("a queue's messages stay hidden at least six times as long as its function may run", () => {
	expect(queueSources).toHaveLength(6);
	for (const source of queueSources) {
		const queue = target(source, source.properties.EventSourceArn, "AWS::SQS::Queue");
		const fn = target(source, source.properties.FunctionName, "AWS::Lambda::Function");
		const timeout = fn.properties.Timeout as number;
		expect(queue.properties.VisibilityTimeout, queue.id).toBeGreaterThanOrEqual(6 * timeout);
	}
});

/** A source as its queue's part of the name says. */
const sizes = { Mailbox: 10, Relay: 10, Shards: 1 };

test("queue event sources take ten, or one shard, name the failed ones, and the relay's concurrency is bounded", () => {
	for (const { id, properties } of queueSources) {
		const [, size] = Object.entries(sizes).find(([part]) => id.includes(part)) ?? [];
		expect(properties).toMatchObject({ BatchSize: size, FunctionResponseTypes: ["ReportBatchItemFailures"] });
		expect(properties.MaximumBatchingWindowInSeconds, "not allowed on FIFO").toBeUndefined();
	}
	const bounded = queueSources.filter(({ properties }) => at(properties.ScalingConfig, "MaximumConcurrency") === 10);
	expect(bounded).toHaveLength(2);
});

test("a source asks for no more concurrency than its function has reserved", () => {
	const prod = synthesise("prod");
	const reserved = prod
		.resources("AWS::Lambda::Function")
		.filter(({ properties }) => properties.ReservedConcurrentExecutions !== undefined);
	const sourced = reserved.flatMap(({ stack, id, properties }) =>
		prod
			.resources("AWS::Lambda::EventSourceMapping")
			.filter((other) => other.stack === stack && at(other.properties.FunctionName, "Ref") === id)
			.map((source) => ({ source, reserved: properties.ReservedConcurrentExecutions })),
	);
	// Deliver's and the shards', in both regions: what holds streams has its own too, and is called by its API.
	expect([sourced.length, reserved.length]).toEqual([4, 6]);
	for (const each of sourced) {
		expect(at(each.source.properties.ScalingConfig, "MaximumConcurrency")).toBe(each.reserved);
	}
});

test.each(["dev", "prod"] as const)("all shard workers of %s together keep to its budget of posts", (name) => {
	const { shardWorkers, postsPerSecond } = ENVIRONMENTS[name];
	const app = synthesise(name);
	const workers = app.resources("AWS::Lambda::Function").filter(({ id }) => id.startsWith("HandlersShard"));
	expect(workers).toHaveLength(2);
	for (const { properties, stack, id } of workers) {
		const [source] = app
			.resources("AWS::Lambda::EventSourceMapping")
			.filter((other) => other.stack === stack && at(other.properties.FunctionName, "Ref") === id);
		const most = at(source?.properties.ScalingConfig, "MaximumConcurrency");
		const rate = Number(at(properties.Environment, "Variables", ENV.shardRate));
		expect([most, rate]).toEqual([shardWorkers, postsPerSecond / shardWorkers]);
	}
});

test("every standard queue with a consumer sets messages aside after ten receives, for two weeks", () => {
	const consumed = queueSources
		.map((source) => target(source, source.properties.EventSourceArn, "AWS::SQS::Queue"))
		.filter((queue) => !isFifo(queue));
	expect(consumed).toHaveLength(2);
	for (const queue of consumed) {
		expect(at(queue.properties.RedrivePolicy, "maxReceiveCount")).toBe(10);
		const aside = target(queue, at(queue.properties.RedrivePolicy, "deadLetterTargetArn"), "AWS::SQS::Queue");
		expect(aside.properties.MessageRetentionPeriod).toBe(14 * 24 * 3600);
		// What is set aside keeps the time at which it was sent.
		expect(queue.properties.MessageRetentionPeriod, queue.id).toBe(4 * 24 * 3600);
	}
});

test("every subscription has a dead-letter queue in the topic's region that admits that topic", () => {
	const subscriptions = dev.resources("AWS::SNS::Subscription");
	expect(subscriptions).toHaveLength(4);
	const policies = dev.resources("AWS::SQS::QueuePolicy");
	for (const subscription of subscriptions) {
		const aside = target(
			subscription,
			at(subscription.properties.RedrivePolicy, "deadLetterTargetArn"),
			"AWS::SQS::Queue",
		);
		const admitted = policies
			.filter(
				(policy) =>
					policy.stack === aside.stack && list(policy.properties.Queues).some((ref) => at(ref, "Ref") === aside.id),
			)
			.flatMap((policy) => list(at(policy.properties.PolicyDocument, "Statement")))
			.filter((statement) => at(statement, "Effect") === "Allow");
		expect(admitted).toHaveLength(1);
		expect(at(admitted[0], "Principal", "Service")).toBe("sns.amazonaws.com");
		expect(at(admitted[0], "Condition", "ArnEquals", "aws:SourceArn")).toEqual(subscription.properties.TopicArn);
	}
});

test("what EventBridge, Lambda's own queue or a stream cannot hand over goes to a queue", () => {
	for (const rule of dev.resources("AWS::Events::Rule")) {
		for (const to of list(rule.properties.Targets)) {
			target(rule, at(to, "DeadLetterConfig", "Arn"), "AWS::SQS::Queue");
			expect(at(to, "RetryPolicy")).toEqual({ MaximumEventAgeInSeconds: 21_600, MaximumRetryAttempts: 185 });
		}
	}
	const asynchronous = dev.resources("AWS::Lambda::EventInvokeConfig");
	expect(asynchronous).toHaveLength(2);
	for (const config of asynchronous) {
		target(config, at(config.properties.DestinationConfig, "OnFailure", "Destination"), "AWS::SQS::Queue");
	}
	const streams = sources.filter((source) => source.properties.StartingPosition !== undefined);
	expect(streams).toHaveLength(2);
	for (const source of streams) {
		target(source, at(source.properties.DestinationConfig, "OnFailure", "Destination"), "AWS::SQS::Queue");
		expect(source.properties).toMatchObject({
			BisectBatchOnFunctionError: true,
			FunctionResponseTypes: ["ReportBatchItemFailures"],
			MaximumRecordAgeInSeconds: 3_600,
			// The latest misses what comes while a source is made or changed.
			StartingPosition: "TRIM_HORIZON",
		});
		expect(source.properties.MaximumRetryAttempts).toBeUndefined();
	}
});

test("sync has the time to send on what a session left behind: thousands, one by one, each across an ocean and back", () => {
	const functions = dev.resources("AWS::Lambda::Function").filter(({ id }) => id.startsWith("HandlersSync"));
	expect(functions).toHaveLength(2);
	for (const { properties } of functions) expect(Number(properties.Timeout) / 0.15).toBeGreaterThan(5_000);
});

test("what waits for a lost region may go round: Lambda drops a message in its sixteenth lap, unless it is told not to", () => {
	const allowed = dev
		.resources("AWS::Lambda::Function")
		.filter(({ properties }) => properties.RecursiveLoop === "Allow");
	const names = allowed.map(({ stack, id }) => `${stack} ${id.replace(/[0-9A-F]{8}$/, "")}`);
	expect(names.toSorted()).toEqual(
		["eu-west-1", "us-east-1"].flatMap((region) =>
			["HandlersDeliver", "HandlersRelay"].map((id) => `dev-fanout-${region}-delivery ${id}`),
		),
	);
});
