import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, matchesGlob } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import { DETOUR_RECEIVES, DETOUR_SECONDS } from "../../../lambda/layer/src/transports/aws/cell/detour.ts";
import { backoffSeconds } from "../../../lambda/layer/src/transports/aws/cell/failed-mail.ts";
import { CLIENT_ATTEMPTS, CONNECT_TIMEOUT_MS } from "../../../lambda/layer/src/transports/aws/sdk.ts";
import { ENVIRONMENTS } from "../../../lib/config/environments.ts";
import type { CellStacks } from "../../../lib/stages/environment-stacks.ts";
import { ACCOUNT, at, list, synthesise, synthesiseConfig } from "../synth.ts";

const dev = synthesise("dev");
const ROOT = join(import.meta.dirname, "../../..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

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

test("whoever stands still or denies everybody rings, though nothing throws", () => {
	const watched = dev
		.resources("AWS::CloudWatch::Alarm")
		.map(({ properties: { MetricName, Period, Dimensions } }) => [
			MetricName,
			Period,
			at(list(Dimensions)[0], "Value"),
		]);
	const expected = [
		["Stuck", 300, "dev-fanout-deliver"],
		["Stuck", 300, "dev-fanout-shard"],
		["KeyUnread", 60, "dev-fanout-authorize"],
		["5XXError", 60, "dev-fanout-events"],
	];
	for (const one of expected) expect(watched.filter((each) => isDeepStrictEqual(each, one))).toHaveLength(2);
});

/** Whether an alarm is on, minute by minute, of something that happens once in so many seconds, and measures so much. */
function isOn(observability: CellStacks["observability"], name: string, everySeconds: number, value = 1): boolean[] {
	const [alarm] = dev
		.resources("AWS::CloudWatch::Alarm", observability)
		.filter(({ id }) => new RegExp(`^Alarms${name}[0-9A-F]{8}$`).test(id));
	const { Period, Threshold, EvaluationPeriods, DatapointsToAlarm = EvaluationPeriods } = alarm?.properties ?? {};
	const minutes = Array.from({ length: 60 }, (_, minute) => minute);
	const events = minutes.map((n) => Math.floor((n * everySeconds) / Number(Period)));
	const isOver = minutes.map((minute) => value * events.filter((at) => at === minute).length > Number(Threshold));
	const windows = minutes.map((end) => isOver.slice(Math.max(0, end + 1 - Number(EvaluationPeriods)), end + 1));
	return windows.map((window) => window.filter(Boolean).length >= Number(DatapointsToAlarm));
}

test.each([
	["Deliver", "MessagingMailbox"],
	["Shard", "MessagingShards"],
])("one group that ends %s each time rings, though it comes again only after minutes", (name, queueId) => {
	for (const { delivery, observability } of dev.cells) {
		const [queue] = dev.resources("AWS::SQS::Queue", delivery).filter(({ id }) => id.startsWith(queueId));
		const rings = isOn(observability, `${name}Errors`, Number(queue?.properties.VisibilityTimeout));
		// One that failed once or twice does not wake anybody. And it stays so: not on and off.
		expect([rings.indexOf(true) >= 2, rings.slice(0, 11).includes(true)]).toEqual([true, true]);
		expect(rings.slice(11).every(Boolean)).toBe(true);
	}
});

test("sync rings also when each of its runs takes all of its time: it is measured once in each", () => {
	for (const { delivery, observability } of dev.cells) {
		const [sync] = dev.resources("AWS::Lambda::Function", delivery).filter(({ id }) => id.startsWith("HandlersSync"));
		const seconds = Number(sync?.properties.Timeout);
		const rings = isOn(observability, "SyncBehind", seconds, seconds * 1000);
		expect([rings[0], rings.slice(30).every(Boolean)]).toEqual([false, true]);
	}
});

test("who is not posted to rings also where little is published: deliver is refused by all, and that is once in minutes", () => {
	for (const { observability } of dev.cells) {
		for (const name of ["Unposted", "ShardsUnposted"]) {
			const rings = isOn(observability, name, 180);
			// A burst of throttles wakes nobody.
			expect([rings.slice(0, 3).includes(true), rings.slice(10).every(Boolean)], name).toEqual([false, true]);
		}
	}
});

test("one message that waits for a lost region rings for as long as it waits, and not anew each time it comes round", () => {
	// Delayed, then tried until the region counts as lost again.
	const tries = Array.from({ length: DETOUR_RECEIVES - 1 }, (_, n) => backoffSeconds(n + 1));
	const roundSeconds = tries.reduce((sum, seconds) => sum + seconds, DETOUR_SECONDS);
	for (const { observability } of dev.cells) {
		const longest = roundSeconds + DETOUR_RECEIVES * (CLIENT_ATTEMPTS * (CONNECT_TIMEOUT_MS / 1000));
		for (const seconds of [roundSeconds, longest]) {
			expect(isOn(observability, "Detoured", seconds).every(Boolean)).toBe(true);
		}
	}
});

test("what a handler counts is what an alarm of the same environment watches", () => {
	const watched = dev
		.resources("AWS::CloudWatch::Alarm")
		.filter(({ properties }) => properties.Namespace === "mcp-fanout");
	const functions = dev.resources("AWS::Lambda::Function");
	expect(new Set(watched.map(({ properties }) => properties.MetricName))).toEqual(
		new Set(["Detoured", "EventsRefused", "KeyUnread", "Stuck", "Uncopied", "Unposted"]),
	);
	for (const { id, properties } of watched) {
		const [dimension, ...more] = list(properties.Dimensions);
		expect([at(dimension, "Name"), more], id).toEqual(["service", []]);
		const service = String(at(dimension, "Value"));
		const counting = functions.filter(
			(fn) => at(fn.properties, "Environment", "Variables", "POWERTOOLS_SERVICE_NAME") === service,
		);
		expect(counting, id).toHaveLength(2);
		const [name] = service.match(/(?<=^dev-fanout-).+$/) ?? [];
		expect(read(`lambda/handlers/${name}.ts`), id).toContain(`count("${properties.MetricName}", `);
	}
});

test("a handler's count carries its service as the one dimension, and its event is not logged, whoever asks", () => {
	const code = `
		import { count, handle } from "./lambda/handlers/powertools.ts";
		const context = { functionName: "f", memoryLimitInMB: "1", invokedFunctionArn: "a", awsRequestId: "r" };
		await handle(async () => count("Unposted", 2))({ secret: "what was notified" }, context);`;
	const env = {
		PATH: process.env.PATH,
		POWERTOOLS_SERVICE_NAME: "dev-fanout-deliver",
		POWERTOOLS_METRICS_NAMESPACE: "mcp-fanout",
		POWERTOOLS_LOGGER_LOG_EVENT: "true",
		POWERTOOLS_TRACE_ENABLED: "false",
	};
	const args = ["--conditions=mcp-fanout-source", "--input-type=module", "--eval", code];
	const printed = execFileSync(process.execPath, args, { cwd: ROOT, env, encoding: "utf8" });
	expect(printed).not.toContain("what was notified");
	const [metric] = printed.split("\n").filter((line) => line.includes('"_aws"'));
	expect(JSON.parse(metric ?? "{}")).toMatchObject({
		_aws: { CloudWatchMetrics: [{ Namespace: "mcp-fanout", Dimensions: [["service"]] }] },
		service: "dev-fanout-deliver",
		Unposted: 2,
	});
});

test("the runbook has a word for every alarm and no other, and the README their number", () => {
	const names = dev.cells.flatMap(({ observability }) => observability.alarms.node.children.map(({ node }) => node.id));
	// What concerns a region is one entry for all of them.
	const entries = new Set(names.map((name) => name.replace(/-(us-east-1|eu-west-1)$/, "")));
	const headings = [...read("docs/runbook.md").matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
	expect(headings.toSorted()).toEqual([...entries].toSorted());
	const [, counted] = read("README.md").match(/ (\d+) alarms /) ?? [];
	expect(Number(counted)).toBe(names.length);
});

test("between regions, each measures how late its own writes are in every other", () => {
	const measured = dev
		.resources("AWS::CloudWatch::Alarm")
		.filter(({ properties }) => properties.MetricName === "ReplicationLatency")
		.map(({ stack, properties }) => [stack, at(list(properties.Dimensions)[0], "Value")]);
	expect(measured).toEqual([
		["dev-fanout-us-east-1-observability", "eu-west-1"],
		["dev-fanout-eu-west-1-observability", "us-east-1"],
	]);
});

test("every pattern by which the README deploys one region names its stacks", () => {
	const patterns = [...read("README.md").matchAll(/^npx cdk deploy .*'([^'\n]+)'/gm)].map(([, pattern]) =>
		String(pattern),
	);
	expect(patterns).toHaveLength(1);
	const named = dev.stacks.map(({ stackName }) => stackName).filter((id) => matchesGlob(id, patterns[0] as string));
	expect(named).toEqual(["state", "delivery", "mesh", "observability"].map((part) => `dev-fanout-eu-west-1-${part}`));
});
