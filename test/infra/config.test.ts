import { App } from "aws-cdk-lib";
import { expect, test } from "vitest";
import { readContext } from "../../lib/config/context.ts";
import { checkEnvironment, ENVIRONMENTS, environmentConfig } from "../../lib/config/environments.ts";

const read = (context: Record<string, unknown>) => readContext(new App({ context }).node);

test("without context: dev, for a real account", () => {
	expect(read({})).toEqual({ config: ENVIRONMENTS.dev });
});

test("what asks for another look-up is handed on, for a real account", () => {
	expect(read({ lookUp: "2026-12-01" })).toEqual({ config: ENVIRONMENTS.dev, lookUp: "2026-12-01" });
	expect(read({ lookUp: "2026-12-01", emulator: "true" })).not.toHaveProperty("lookUp");
});

test("an account is taken over, and must be one", () => {
	expect(read({ env: "prod", account: "123456789012" }).config).toMatchObject({
		name: "prod",
		account: "123456789012",
	});
	expect(() => read({ account: "12345" })).toThrow(/12 digits, found "12345"/);
});

test("an unknown environment is told with the known ones", () => {
	expect(() => read({ env: "staging" })).toThrow(/no environment "staging".*dev, prod/);
	expect(() => environmentConfig("constructor")).toThrow(/no environment/);
});

test("templates are for emulators only, and need their placeholder", () => {
	expect(read({ socketTemplate: "ws://x/{apiId}" })).not.toHaveProperty("emulator");
	expect(read({ emulator: "true", socketTemplate: "ws://x/{apiId}" }).emulator).toEqual({
		socketTemplate: "ws://x/{apiId}",
	});
	expect(() => read({ emulator: true, callbackTemplate: "http://x" })).toThrow(/must contain \{apiId\}/);
	expect(() => read({ env: 3 })).toThrow(/must be a text/);
});

test.each([
	[{ name: "Dev" }, /environment name "Dev"/],
	[{ name: "ssm-test" }, /environment name "ssm-test".*SSM/],
	[{ regions: ["us-east-1", "us-east-1"] }, /regions repeat/],
	[{ primaryRegion: "ap-south-1" }, /ap-south-1 is not among us-east-1, eu-west-1/],
	[{ regions: ["us-east-1", "eu-south-1", "me-south-1"] }, /one opt-in region, found eu-south-1, me-south-1/],
	[{ retentionSeconds: 1.5 }, /at least 60, found 1.5/],
	[{ shardWorkers: 1 }, /shardWorkers must be an integer of at least 2, found 1/],
	[{ postsPerSecond: 1 }, /postsPerSecond must be an integer of at least shardWorkers, found 1/],
])("a wrong environment is refused: %o", (change, message) => {
	expect(() => checkEnvironment({ ...ENVIRONMENTS.dev, ...change })).toThrow(message);
});

test("one opt-in region beside others is accepted", () => {
	const regions = ["us-east-1", "eu-west-1", "af-south-1"];
	expect(checkEnvironment({ ...ENVIRONMENTS.dev, regions }).regions).toEqual(regions);
});
