import { REGISTRY_TABLE } from "mcp-fanout/sessions";
import { expect, test } from "vitest";
import { at, type CfnResource, list, type Synthesised, synthesise } from "../synth.ts";

const dev = synthesise("dev");
const prod = synthesise("prod");
const TABLE = "AWS::DynamoDB::GlobalTable";

function table(from: Synthesised, region: string, id: string): CfnResource {
	const found = from.resources(TABLE).find((one) => one.stack.includes(region) && one.id.startsWith(id));
	if (found === undefined) throw new Error(`no table ${id} in ${region}`);
	return found;
}

const keys = ({ properties }: CfnResource) =>
	list(properties.KeySchema).map((key) => {
		const name = at(key, "AttributeName");
		const type = list(properties.AttributeDefinitions).find((attribute) => at(attribute, "AttributeName") === name);
		return `${at(key, "KeyType")} ${name} ${at(type, "AttributeType")}`;
	});

test.each(["us-east-1", "eu-west-1"])("log and connections of %s have the keys that the cell reads by", (region) => {
	expect(keys(table(dev, region, "Log"))).toEqual(["HASH channel S", "RANGE n N"]);
	expect(keys(table(dev, region, "Connections"))).toEqual(["HASH pk S", "RANGE sk S"]);
});

test.each(["us-east-1", "eu-west-1"])(
	"the registry's table of %s is what its store takes, of this region alone",
	(region) => {
		const { partitionKey, sortKey, timeToLiveAttribute } = REGISTRY_TABLE;
		const owners = table(dev, region, "Owners");
		expect(keys(owners)).toEqual([`HASH ${partitionKey} S`, `RANGE ${sortKey} S`]);
		expect(at(owners.properties.TimeToLiveSpecification, "AttributeName")).toBe(timeToLiveAttribute);
		expect(list(owners.properties.Replicas).map((replica) => at(replica, "Region"))).toEqual([region]);
	},
);

test("only the primary makes the sessions table, with a replica in every other region", () => {
	const sessions = dev.resources(TABLE).filter(({ properties }) => properties.TableName !== undefined);
	expect(sessions.map(({ stack }) => stack)).toEqual(["dev-fanout-us-east-1-state"]);
	const [only] = sessions as [CfnResource];
	expect(only.properties.TableName).toBe("dev-fanout-sessions");
	expect(keys(only)).toEqual(["HASH session S", "RANGE region S"]);
	expect(list(only.properties.Replicas).map((replica) => at(replica, "Region"))).toEqual(["eu-west-1", "us-east-1"]);
});

test("the sessions table alone has a stream, with both images", () => {
	for (const { id, properties } of dev.resources(TABLE)) {
		const view = at(properties.StreamSpecification, "StreamViewType");
		expect(view, id).toBe(id.startsWith("Sessions") ? "NEW_AND_OLD_IMAGES" : undefined);
	}
});

test("every table is on demand, encrypted, and expires by expiresAt", () => {
	expect(dev.resources(TABLE)).toHaveLength(7);
	for (const { properties } of dev.resources(TABLE)) {
		expect(properties.BillingMode).toBe("PAY_PER_REQUEST");
		expect(properties.TimeToLiveSpecification).toEqual({ AttributeName: "expiresAt", Enabled: true });
		expect(properties.SSESpecification).toEqual({ SSEEnabled: false }); // false is DynamoDB's own key, not none
	}
});

test("an environment that protects its state keeps tables, secret and stacks", () => {
	for (const { id, all, properties } of prod.resources(TABLE)) {
		expect(all.DeletionPolicy, id).toBe("Retain");
		expect(all.UpdateReplacePolicy, id).toBe("Retain");
		for (const replica of list(properties.Replicas)) {
			expect(at(replica, "DeletionProtectionEnabled"), id).toBe(true);
			const restorable = at(replica, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled");
			expect(restorable, id).toBe(!id.startsWith("Connections"));
		}
	}
	for (const { all } of prod.resources("AWS::SecretsManager::Secret")) expect(all.DeletionPolicy).toBe("Retain");
	for (const stack of prod.stacks) expect(stack.terminationProtection).toBe(true);
	for (const { all } of dev.resources(TABLE)) expect(all.DeletionPolicy).toBe("Delete");
});

test("one ticket secret, generated, replicated to every other region", () => {
	const secrets = dev.resources("AWS::SecretsManager::Secret");
	expect(secrets).toHaveLength(1);
	expect(secrets[0]?.properties).toMatchObject({
		Name: "dev-fanout-ticket-secret",
		GenerateSecretString: { PasswordLength: 64 },
		ReplicaRegions: [{ Region: "eu-west-1" }],
	});
});

test("stateful logical ids stay: another id would be another, empty table", () => {
	const ids = prod
		.resources(TABLE)
		.concat(prod.resources("AWS::SecretsManager::Secret"))
		.map(({ stack, id }) => `${stack} ${id}`);
	expect(ids).toEqual([
		"prod-fanout-us-east-1-state Log95422804",
		"prod-fanout-us-east-1-state Connections827CEF2F",
		"prod-fanout-us-east-1-state Owners0FE414D7",
		"prod-fanout-us-east-1-state Sessions8896A56D",
		"prod-fanout-eu-west-1-state Log95422804",
		"prod-fanout-eu-west-1-state Connections827CEF2F",
		"prod-fanout-eu-west-1-state Owners0FE414D7",
		"prod-fanout-us-east-1-state TicketSecretB0B650FB",
	]);
});

test("stacks stand in the order of their needs", () => {
	const needs = Object.fromEntries(
		dev.stacks.map((stack) => [stack.stackName, stack.dependencies.map((other) => other.stackName).sort()]),
	);
	expect(needs["dev-fanout-us-east-1-state"]).toEqual([]);
	expect(needs["dev-fanout-eu-west-1-state"]).toEqual(["dev-fanout-us-east-1-state"]);
	expect(needs["dev-fanout-eu-west-1-delivery"]).toEqual(["dev-fanout-eu-west-1-state"]);
	expect(needs["dev-fanout-us-east-1-mesh"]).toEqual([
		"dev-fanout-eu-west-1-delivery",
		"dev-fanout-us-east-1-delivery",
	]);
});

test("no stack reads another region's: names join them", () => {
	for (const stack of dev.stacks) {
		const text = JSON.stringify(dev.template(stack).toJSON());
		expect(text).not.toContain("Custom::CrossRegionExport");
		const other = stack.region === "us-east-1" ? "eu-west-1" : "us-east-1";
		for (const match of text.matchAll(/"Fn::ImportValue":"([^"]+)"/g)) {
			expect(match[1]).not.toContain(other);
		}
	}
});

test("a layer's old version outlives it: a function of another stack whose update is rolled back is given it again", () => {
	const layers = prod.resources("AWS::Lambda::LayerVersion");
	expect(layers).toHaveLength(2);
	for (const { all } of layers) expect([all.DeletionPolicy, all.UpdateReplacePolicy]).toEqual(["Retain", "Retain"]);
});
