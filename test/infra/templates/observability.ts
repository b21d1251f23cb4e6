import { expect, test } from "vitest";
import { ENVIRONMENTS } from "../../../lib/config/environments.ts";
import { ACCOUNT, at, list, synthesise, synthesiseConfig } from "../synth.ts";

const dev = synthesise("dev");
/** One region and an address, which also shows that an environment may have a single cell. */
const alone = synthesiseConfig({
	...ENVIRONMENTS.dev,
	account: ACCOUNT,
	regions: ["us-east-1"],
	alarmEmail: "ops@example.com",
});

test("alarms need no metric math, which not every target takes, and are silent when nothing happens", () => {
	const alarms = dev.resources("AWS::CloudWatch::Alarm");
	expect(alarms.length).toBeGreaterThan(20);
	for (const { id, properties } of alarms) {
		expect(properties.Metrics, id).toBeUndefined();
		expect(properties.AlarmDescription, id).toBeTruthy();
		expect(properties.TreatMissingData, id).toBe("notBreaching");
		expect(properties.AlarmActions, id).toBeUndefined();
	}
});

test("every queue that only holds what failed has an alarm of its own", () => {
	const watched = new Set(
		dev
			.resources("AWS::CloudWatch::Alarm")
			.filter(({ properties }) => properties.MetricName === "ApproximateNumberOfMessagesVisible")
			.map(({ stack, properties }) => `${stack} ${JSON.stringify(at(list(properties.Dimensions)[0], "Value"))}`),
	);
	const failures = dev.resources("AWS::SQS::Queue").filter(({ id }) => /DeadLetters|Errors/.test(id));
	expect(failures).toHaveLength(12);
	expect(watched.size).toBe(failures.length);
});

test("with an address, every alarm goes to a topic that admits CloudWatch of this account", () => {
	const [cell] = alone.cells;
	const [topic] = alone.resources("AWS::SNS::Topic", cell?.observability);
	for (const { id, properties } of alone.resources("AWS::CloudWatch::Alarm")) {
		expect(properties.AlarmActions, id).toEqual([{ Ref: topic?.id }]);
	}
	const admitted = alone
		.resources("AWS::SNS::TopicPolicy", cell?.observability)
		.flatMap(({ properties }) => list(at(properties.PolicyDocument, "Statement")))
		.find((statement) => at(statement, "Effect") === "Allow");
	expect(at(admitted, "Principal", "Service")).toBe("cloudwatch.amazonaws.com");
	expect(at(admitted, "Condition", "StringEquals", "aws:SourceAccount")).toBe(ACCOUNT);
});

test("a single region needs no replica, no replicated secret and no lookup", () => {
	const [sessions] = alone.resources("AWS::DynamoDB::GlobalTable").filter(({ id }) => id.startsWith("Sessions"));
	expect(list(sessions?.properties.Replicas)).toHaveLength(1);
	expect(alone.resources("AWS::SecretsManager::Secret")[0]?.properties.ReplicaRegions).toBeUndefined();
	expect(alone.resources("Custom::ReplicaStream")).toEqual([]);
});
