import { Bucket } from "aws-cdk-lib/aws-s3";
import { expect, test } from "vitest";
import { environmentConfig } from "../../lib/config/environments.ts";
import { applyNag } from "../../lib/nag.ts";
import { createEnvironmentStacks } from "../../lib/stages/environment-stacks.ts";
import { ACCOUNT, createTestApp, layerPackage } from "./synth.ts";

function create(name: string, account: string | undefined) {
	const app = createTestApp();
	const config = { ...environmentConfig(name), ...(account === undefined ? {} : { account }) };
	const cells = createEnvironmentStacks(app, config, { layerPackage: layerPackage() });
	applyNag(app, cells);
	return { app, cells };
}

test.each([
	["dev", undefined],
	["prod", ACCOUNT],
])("every finding in %s, account %s, is one that has its reason", (name, account) => {
	expect(() => create(name, account).app.synth()).not.toThrow();
});

test("a finding without a reason fails the synthesis", () => {
	const { app, cells } = create("dev", ACCOUNT);
	const [first] = cells;
	if (first === undefined) throw new Error("no cell");
	new Bucket(first.state, "Unreasoned");
	expect(() => app.synth()).toThrow(/Unreasoned[\s\S]*AwsSolutions-S10/);
});
