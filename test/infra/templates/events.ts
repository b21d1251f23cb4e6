import { expect, test } from "vitest";
import { at, list, synthesise } from "../synth.ts";

const prod = synthesise("prod");
const emulated = synthesise("dev", { socketTemplate: "ws://localhost:1/x/{apiId}/{stage}" });
const REGIONS = 2;

const methods = prod.resources("AWS::ApiGateway::Method");
const ofKind = (method: string) => methods.filter(({ properties }) => properties.HttpMethod === method);
const streams = prod
	.resources("AWS::Lambda::Function")
	.filter(
		({ properties }) => at(properties.Environment, "Variables", "POWERTOOLS_SERVICE_NAME") === "prod-fanout-stream",
	);

test("GET /events asks for a ticket, whose reading is remembered for nobody", () => {
	expect(ofKind("GET")).toHaveLength(REGIONS);
	for (const { properties } of ofKind("GET")) expect(properties.AuthorizationType).toBe("CUSTOM");
	const authorizers = prod.resources("AWS::ApiGateway::Authorizer");
	expect(authorizers).toHaveLength(REGIONS);
	for (const { properties } of authorizers) {
		expect(properties).toMatchObject({
			Type: "REQUEST",
			IdentitySource: "method.request.header.Authorization",
			AuthorizerResultTtlInSeconds: 0,
		});
	}
});

test("it is streamed for as long as a function lasts, by the invocation path for streams", () => {
	for (const { properties } of ofKind("GET")) {
		expect(properties.Integration).toMatchObject({
			Type: "AWS_PROXY",
			ResponseTransferMode: "STREAM",
			TimeoutInMillis: 15 * 60 * 1000,
		});
		expect(JSON.stringify(at(properties.Integration, "Uri"))).toContain("/response-streaming-invocations");
	}
	expect(streams).toHaveLength(REGIONS);
	for (const { properties } of streams) {
		expect(properties).toMatchObject({ Timeout: 15 * 60, ReservedConcurrentExecutions: 100 });
	}
});

test("browsers of any origin may ask, with the two headers that a resume needs, and may see a refusal", () => {
	expect(ofKind("OPTIONS").length).toBeGreaterThanOrEqual(REGIONS);
	for (const { properties } of ofKind("OPTIONS")) {
		const allowed = JSON.stringify(at(properties.Integration, "IntegrationResponses"));
		expect(allowed).toMatch(/Authorization,Last-Event-ID/);
		expect(allowed).toContain('Access-Control-Allow-Origin":"\'*\'"');
	}
	expect(prod.resources("AWS::ApiGateway::GatewayResponse")).toHaveLength(2 * REGIONS);
});

test("any rule of the account and region may leave in the dead letters what it could not hand over", () => {
	const admitting = prod
		.resources("AWS::SQS::QueuePolicy")
		.filter(({ id }) => id.startsWith("EventsDeadLetters"))
		.flatMap(({ properties }) => list(at(properties.PolicyDocument, "Statement")))
		.filter((statement) => at(statement, "Sid") === "AdmitRules");
	expect(admitting).toHaveLength(REGIONS);
	for (const statement of admitting) {
		expect(at(statement, "Principal", "Service")).toBe("events.amazonaws.com");
		const source = JSON.stringify(at(statement, "Condition", "ArnLike", "aws:SourceArn"));
		expect(source).toMatch(/:events:(us-east-1|eu-west-1):123456789012:rule\/\*/);
	}
});

test("the stage throttles, and logs who came but not what was said", () => {
	const stages = prod.resources("AWS::ApiGateway::Stage");
	expect(stages).toHaveLength(REGIONS);
	for (const { properties } of stages) {
		expect(at(properties.MethodSettings, 0)).toMatchObject({ ThrottlingRateLimit: 5000, ThrottlingBurstLimit: 2500 });
		expect(at(properties.MethodSettings, 0, "LoggingLevel")).toBeUndefined();
		const format = String(at(properties.AccessLogSetting, "Format"));
		expect(Object.keys(JSON.parse(format))).toContain("status");
		expect(format).not.toMatch(/querystring|header|authorizer|body/i);
	}
	expect(prod.resources("AWS::ApiGateway::Account")).toEqual([]);
});

test("an emulator, whose REST API streams nothing, gets the function and no endpoint", () => {
	expect(emulated.resources("AWS::ApiGateway::RestApi")).toEqual([]);
	const names = emulated
		.resources("AWS::Lambda::Function")
		.map(({ properties }) => at(properties.Environment, "Variables", "POWERTOOLS_SERVICE_NAME"));
	expect(names.filter((name) => name === "dev-fanout-stream")).toHaveLength(REGIONS);
});
