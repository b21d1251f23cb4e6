import { expect, test } from "vitest";
import { at, type CfnResource, list, type Synthesised, synthesise } from "../synth.ts";

const prod = synthesise("prod");
const emulated = synthesise("dev", {
	socketTemplate: "ws://localhost:1/x/{apiId}/{stage}",
	callbackTemplate: "http://localhost:1/x/{apiId}/{stage}",
	functionUrlTemplate: "http://localhost:1/u/{urlId}/",
});
const ROUTES = ["$connect", "$default", "$disconnect", "ping", "read", "renew", "subscribe", "unsubscribe"];

function routesOf(from: Synthesised, api: CfnResource): readonly CfnResource[] {
	return from
		.resources("AWS::ApiGatewayV2::Route")
		.filter(({ stack, properties }) => stack === api.stack && at(properties.ApiId, "Ref") === api.id);
}

test("two APIs a region, with the same routes, chosen by action", () => {
	const apis = prod.resources("AWS::ApiGatewayV2::Api");
	expect(apis).toHaveLength(4);
	for (const api of apis) {
		expect(api.properties).toMatchObject({
			ProtocolType: "WEBSOCKET",
			RouteSelectionExpression: "$request.body.action",
		});
		const keys = routesOf(prod, api).map(({ properties }) => String(properties.RouteKey));
		expect(keys.sort()).toEqual(ROUTES);
	}
});

test("$connect asks for IAM on one API and for a ticket on the other", () => {
	for (const api of prod.resources("AWS::ApiGatewayV2::Api")) {
		const connect = routesOf(prod, api).find(({ properties }) => properties.RouteKey === "$connect");
		const isBackend = api.id.includes("Backend");
		expect(connect?.properties.AuthorizationType).toBe(isBackend ? "AWS_IAM" : "CUSTOM");
	}
	const authorizers = prod.resources("AWS::ApiGatewayV2::Authorizer");
	expect(authorizers).toHaveLength(2);
	for (const { properties } of authorizers) {
		expect(properties.IdentitySource).toEqual(["route.request.header.Sec-WebSocket-Protocol"]);
	}
});

test("handlers answer by post: no route sends a response", () => {
	expect(prod.resources("AWS::ApiGatewayV2::RouteResponse")).toEqual([]);
	for (const { properties } of prod.resources("AWS::ApiGatewayV2::Route")) {
		expect(properties.RouteResponseSelectionExpression).toBeUndefined();
	}
});

test("stages throttle, and log who came but not what was said", () => {
	const stages = prod.resources("AWS::ApiGatewayV2::Stage");
	expect(stages).toHaveLength(4);
	for (const { properties } of stages) {
		expect(properties.DefaultRouteSettings).toMatchObject({ ThrottlingRateLimit: 5000, ThrottlingBurstLimit: 2500 });
		// Each route's own metrics are paid for, and nothing looks at them.
		expect(properties.DefaultRouteSettings).not.toHaveProperty("DetailedMetricsEnabled", true);
		const format = String(at(properties.AccessLogSettings, "Format"));
		expect(Object.keys(JSON.parse(format))).toContain("connectionId");
		expect(format).not.toMatch(/querystring|header|authorizer|body/i);
	}
});

test("every API may call its functions, each route by its own permission", () => {
	const permissions = prod
		.resources("AWS::Lambda::Permission")
		.filter(({ properties }) => properties.Principal === "apigateway.amazonaws.com");
	// 2 regions x 2 APIs x 8 routes, the authorizer of each region's client API, and both of its events API.
	expect(permissions).toHaveLength(2 * 2 * 8 + 2 + 2 * 2);
});

test("on an emulator, the addresses are filled into its templates, in every function and in the parameters", () => {
	const functions = emulated
		.resources("AWS::Lambda::Function")
		.filter(({ properties }) => at(properties.Environment, "Variables", "FANOUT_BACKEND_API") !== undefined);
	expect(functions).toHaveLength(22);
	for (const { properties } of functions) {
		const callback = at(properties.Environment, "Variables", "FANOUT_CLIENT_CALLBACK", "Fn::Join", 1);
		expect(list(callback)[0]).toBe("http://localhost:1/x/");
		expect(list(callback).at(-1)).toBe("/live");
	}
	const url = emulated
		.resources("AWS::SSM::Parameter")
		.find(({ properties }) => properties.Name === "/dev-fanout/mcp-server-url");
	expect(JSON.stringify(url?.properties.Value)).toContain("http://localhost:1/u/");
});

test("an emulator gets no custom resource, and the replica's event source is left to its deploy script", () => {
	const types = emulated.stacks.flatMap((stack) =>
		Object.values(emulated.template(stack).toJSON().Resources as { [id: string]: { Type: string } }).map(
			({ Type }) => Type,
		),
	);
	expect(types.filter((type) => type.startsWith("Custom::"))).toEqual([]);
	const streams = emulated
		.resources("AWS::Lambda::EventSourceMapping")
		.filter(({ properties }) => properties.StartingPosition !== undefined);
	expect(streams.map(({ stack }) => stack)).toEqual(["dev-fanout-us-east-1-delivery"]);
});

test("a function URL asks for IAM, except on an emulator, and production has no example", () => {
	expect(
		synthesise("dev")
			.resources("AWS::Lambda::Url")
			.map(({ properties }) => properties.AuthType),
	).toEqual(["AWS_IAM", "AWS_IAM"]);
	for (const { properties } of synthesise("dev").resources("AWS::Lambda::Url")) {
		expect(properties.InvokeMode).toBe("RESPONSE_STREAM");
	}
	expect(emulated.resources("AWS::Lambda::Url").map(({ properties }) => properties.AuthType)).toEqual(["NONE", "NONE"]);
	expect(prod.resources("AWS::Lambda::Url")).toEqual([]);
});
