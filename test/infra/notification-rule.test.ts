import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { EventField } from "aws-cdk-lib/aws-events";
import { Code, Function as LambdaFunction, Runtime } from "aws-cdk-lib/aws-lambda";
import { Queue } from "aws-cdk-lib/aws-sqs";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import { NotificationRule, type NotificationRuleProps } from "mcp-fanout-cdk";
import { expect, test } from "vitest";
import { at, type Fields, list } from "./synth.ts";

function createRule(props: Pick<NotificationRuleProps, "to" | "method" | "params">): Fields {
	const stack = new Stack(new App(), "Theirs");
	new NotificationRule(stack, "Upload", {
		eventPattern: { source: ["aws.s3"], detailType: ["Object Created"] },
		ingest: new LambdaFunction(stack, "Ingest", {
			runtime: Runtime.NODEJS_24_X,
			handler: "index.handler",
			code: Code.fromInline("exports.handler = async () => {};"),
		}),
		deadLetterQueue: new Queue(stack, "Aside"),
		...props,
	});
	const [rule] = Object.values(Template.fromStack(stack).findResources("AWS::Events::Rule")) as [Fields];
	return rule.Properties as Fields;
}

/** What EventBridge makes of a rule: each variable's JSON put in as it is, without escaping. */
function transform(rule: Fields, event: Fields): unknown {
	const transformer = at(list(rule.Targets)[0], "InputTransformer");
	const paths = at(transformer, "InputPathsMap") as { readonly [name: string]: string };
	let input = String(at(transformer, "InputTemplate"));
	for (const [name, path] of Object.entries(paths)) {
		const value = at(event, ...path.slice(2).split("."));
		input = input.replaceAll(`<${name}>`, () => JSON.stringify(value));
	}
	return JSON.parse(input);
}

const EVENT = {
	id: "e-1",
	source: "aws.s3",
	time: "2026-11-24T00:00:00Z",
	detail: { user: "u", object: { key: "k" } },
};

test("an event becomes what ingest reads: id, target, method, params with the detail", () => {
	const rule = createRule({ to: { topic: "uploads" }, method: "notifications/message", params: { level: "info" } });
	expect(transform(rule, EVENT)).toEqual({
		id: "e-1",
		source: "aws.s3",
		time: "2026-11-24T00:00:00Z",
		to: { topic: "uploads" },
		method: "notifications/message",
		params: { level: "info", detail: { user: "u", object: { key: "k" } } },
	});
	expect(rule.EventBusName).toBeUndefined();
});

test("a target may be a field of the event, and a hostile value stays a value", () => {
	const rule = createRule({ to: { principal: EventField.fromPath("$.detail.user") }, method: "notifications/message" });
	const hostile = { ...EVENT, detail: { user: 'a","evil":"1' } };
	expect(transform(rule, hostile)).toMatchObject({ to: { principal: 'a","evil":"1' } });
	expect(transform(rule, hostile)).not.toHaveProperty("evil");
	expect(transform(rule, hostile)).not.toHaveProperty("to.evil");
});

test("all is a target of its own", () => {
	expect(transform(createRule({ to: { all: true }, method: "notifications/message" }), EVENT)).toMatchObject({
		to: { all: true },
	});
});

test("a field inside a longer text or as a key is refused: it would stand between quotes", () => {
	const field = EventField.fromPath("$.detail.user");
	const method = "notifications/message";
	expect(() => createRule({ to: { topic: `user-${field}` }, method })).toThrow(/must be a whole value/);
	expect(() => createRule({ to: { all: true }, method, params: { list: [{ deep: `x ${field}` }] } })).toThrow(
		/must be a whole value/,
	);
	expect(() => createRule({ to: { all: true }, method, params: { [field]: 1 } })).toThrow(/cannot be a key/);
});

test("a method that is no notification is refused", () => {
	expect(() => createRule({ to: { all: true }, method: "tools/list" })).toThrow(/found "tools\/list"/);
});

test("a rule in another stack may call the function that it names by its parameter, as the construct says", () => {
	const stack = new Stack(new App(), "Theirs");
	const functionArn = StringParameter.valueForStringParameter(stack, "/dev-fanout/ingest-arn");
	const queueArn = StringParameter.valueForStringParameter(stack, "/dev-fanout/ingest-dead-letters-arn");
	new NotificationRule(stack, "Upload", {
		eventPattern: { source: ["aws.s3"] },
		to: { topic: "uploads" },
		method: "notifications/message",
		ingest: LambdaFunction.fromFunctionAttributes(stack, "Ingest", { functionArn, sameEnvironment: true }),
		deadLetterQueue: Queue.fromQueueArn(stack, "Aside", queueArn),
	});
	const [permission, ...more] = Object.values(Template.fromStack(stack).findResources("AWS::Lambda::Permission"));
	expect(more).toEqual([]);
	expect(permission?.Properties).toMatchObject({ Action: "lambda:InvokeFunction", Principal: "events.amazonaws.com" });
});
