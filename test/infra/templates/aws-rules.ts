/** Rules of AWS that an emulator does not enforce: a green deployment there proves none of these. */
import { App, Duration, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { cellNames } from "mcp-fanout-cdk";
import { expect, test } from "vitest";
import { Messaging } from "../../../lib/parts/messaging.ts";
import { ACCOUNT, at, type Fields, type Json, list, synthesise } from "../synth.ts";

const dev = synthesise("dev");

/** CloudFormation's joins as text, with references in braces. */
function text(value: Json | undefined): string {
	if (typeof value === "string") return value;
	const join = at(value, "Fn::Join", 1);
	if (join !== undefined) return list(join).map(text).join("");
	return `{${String(at(value, "Ref") ?? at(value, "Fn::GetAtt", 0) ?? JSON.stringify(value))}}`;
}

test("every topic is standard, and no FIFO queue stands under one", () => {
	for (const { properties } of dev.resources("AWS::SNS::Topic")) {
		expect(properties.FifoTopic).toBeUndefined();
		expect(properties.TopicName).toBe("dev-fanout-topic");
	}
	for (const { properties } of dev.resources("AWS::SNS::Subscription")) {
		expect(text(properties.Endpoint)).toMatch(/:dev-fanout-relay$/);
	}
});

test("each region's topic feeds the relay queue of every region, raw, subscribed in the topic's region", () => {
	for (const { region, mesh } of dev.cells) {
		const subscriptions = dev.resources("AWS::SNS::Subscription", mesh);
		expect(subscriptions.map(({ properties }) => text(properties.Endpoint))).toEqual([
			`arn:{AWS::Partition}:sqs:us-east-1:${ACCOUNT}:dev-fanout-relay`,
			`arn:{AWS::Partition}:sqs:eu-west-1:${ACCOUNT}:dev-fanout-relay`,
		]);
		for (const { properties } of subscriptions) {
			expect(properties).toMatchObject({ Protocol: "sqs", RawMessageDelivery: true });
			expect(properties.FilterPolicy).toBeUndefined();
			expect(mesh.region).toBe(region);
		}
	}
});

test("the relay queue admits SNS for the topics of this environment, by name, and nobody else", () => {
	for (const { delivery } of dev.cells) {
		const allowed = dev
			.resources("AWS::SQS::QueuePolicy", delivery)
			.flatMap(({ properties }) => list(at(properties.PolicyDocument, "Statement")))
			.filter((statement) => at(statement, "Sid") === "AdmitTopics");
		expect(allowed).toHaveLength(1);
		expect(at(allowed[0], "Principal")).toEqual({ Service: "sns.amazonaws.com" });
		expect(at(allowed[0], "Action")).toBe("sqs:SendMessage");
		expect(list(at(allowed[0], "Condition", "ArnEquals", "aws:SourceArn")).map(text)).toEqual([
			`arn:{AWS::Partition}:sns:us-east-1:${ACCOUNT}:dev-fanout-topic`,
			`arn:{AWS::Partition}:sns:eu-west-1:${ACCOUNT}:dev-fanout-topic`,
		]);
	}
});

test("an opt-in region's topic delivers as a principal of that region", () => {
	const stack = new Stack(new App(), "OptIn", { env: { account: ACCOUNT, region: "eu-west-1" } });
	new Messaging(stack, "Messaging", {
		names: cellNames("x-fanout"),
		regions: ["eu-west-1", "ap-east-1"],
		deliverTimeout: Duration.seconds(20),
		relayTimeout: Duration.seconds(10),
		shardTimeout: Duration.seconds(30),
	});
	const statements = Object.values(
		Template.fromStack(stack).findResources("AWS::SQS::QueuePolicy") as { [id: string]: Fields },
	)
		.flatMap((policy) => list(at(policy, "Properties", "PolicyDocument", "Statement")))
		.filter((statement) => at(statement, "Sid") === "AdmitTopics");
	expect(at(statements[0], "Principal", "Service")).toEqual(["sns.amazonaws.com", "sns.ap-east-1.amazonaws.com"]);
});

test("no rule is scheduled on a custom bus", () => {
	for (const { properties } of dev.resources("AWS::Events::Rule")) {
		if (properties.EventBusName !== undefined) expect(properties.ScheduleExpression).toBeUndefined();
	}
});

test("no input transformer stands a variable between quotes", () => {
	for (const { properties } of dev.resources("AWS::Events::Rule")) {
		for (const target of list(properties.Targets)) {
			const template = text(at(target, "InputTransformer", "InputTemplate") ?? "");
			expect(template).not.toMatch(/"[^"]*<[^>]+>[^"]*"/);
		}
	}
});

test("the bus's rule takes Session Notifications of mcp.framework whole, and Lambda admits each rule by its ARN", () => {
	const rules = dev.resources("AWS::Events::Rule");
	expect(rules).toHaveLength(2);
	for (const { properties } of rules) {
		expect(properties.EventPattern).toEqual({ source: ["mcp.framework"], "detail-type": ["Session Notification"] });
		expect(at(list(properties.Targets)[0], "InputTransformer")).toBeUndefined();
	}
	const admitted = dev
		.resources("AWS::Lambda::Permission")
		.filter(({ properties }) => properties.Principal === "events.amazonaws.com");
	expect(admitted).toHaveLength(2);
	for (const { properties } of admitted) expect(properties.SourceArn).toBeDefined();
});

test("sync is woken by other regions' writes only, and by the replica's own stream", () => {
	for (const { region, delivery } of dev.cells) {
		const [source] = dev
			.resources("AWS::Lambda::EventSourceMapping", delivery)
			.filter(({ properties }) => properties.StartingPosition !== undefined);
		const filters = list(at(source?.properties.FilterCriteria, "Filters")).map((one) =>
			JSON.parse(String(at(one, "Pattern"))),
		);
		expect(filters).toEqual([
			{
				eventName: ["INSERT", "MODIFY"],
				dynamodb: { NewImage: { region: { S: [{ "anything-but": [region] }] } } },
			},
		]);
		expect(text(source?.properties.EventSourceArn)).not.toContain("*");
	}
	const lookups = dev.resources("Custom::ReplicaStream");
	expect(lookups.map(({ stack }) => stack)).toEqual(["dev-fanout-eu-west-1-delivery"]);
	expect(text(lookups[0]?.properties.Create)).toContain('"region":"eu-west-1"');
});
