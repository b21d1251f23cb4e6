import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { at, type Json, list, synthesise } from "../synth.ts";

const dev = synthesise("dev");

interface Statement {
	readonly role: string;
	readonly actions: readonly string[];
	readonly resources: readonly string[];
}

/** Every statement of every policy that hangs on a role. */
const statements: readonly Statement[] = dev.resources("AWS::IAM::Policy").flatMap(({ stack, properties }) =>
	list(at(properties.PolicyDocument, "Statement")).map((statement) => ({
		role: `${stack} ${String(at(list(properties.Roles)[0], "Ref"))}`,
		actions: list(at(statement, "Action")).map(String),
		resources: list(at(statement, "Resource")).map((resource) => text(resource)),
	})),
);

function text(value: Json): string {
	if (typeof value === "string") return value;
	const join = at(value, "Fn::Join", 1);
	return join === undefined ? JSON.stringify(value) : list(join).map(text).join("");
}

/** The only wildcards, each with its reason. */
const ALLOWED: readonly { readonly resource: RegExp; readonly actions: readonly string[]; readonly reason: string }[] =
	[
		{
			resource: /:execute-api:[a-z0-9-]+:\d{12}:.*\/live\/(POST|DELETE)\/@connections\/\*$/,
			actions: ["execute-api:ManageConnections"],
			reason: "connection ids are only known at run time; the grant ends at one API, stage and verb",
		},
		{
			resource: /:secret:dev-fanout-ticket-secret-\?\?\?\?\?\?$/,
			actions: ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"],
			reason: "Secrets Manager ends every ARN with six random characters, and a replica is known by name only",
		},
	];

test("no policy has a wildcard that is not in the list", () => {
	expect(statements.length).toBeGreaterThan(50);
	const wild = statements.filter(({ actions, resources }) =>
		[...actions, ...resources].some((part) => /[*?]/.test(part)),
	);
	expect(wild.length).toBeGreaterThan(0);
	for (const { role, actions, resources } of wild) {
		for (const action of actions) expect(action, role).not.toMatch(/[*?]/);
		for (const resource of resources.filter((part) => /[*?]/.test(part))) {
			const rule = ALLOWED.find((allowed) => allowed.resource.test(resource));
			expect(rule, `${role}: ${resource}`).toBeDefined();
			expect(rule?.actions, `${role}: ${resource}`).toEqual(expect.arrayContaining([...actions]));
		}
	}
});

test("every entry of the list is in use", () => {
	const resources = statements.flatMap((statement) => statement.resources);
	for (const { resource, reason } of ALLOWED) {
		expect(
			resources.some((part) => resource.test(part)),
			reason,
		).toBe(true);
	}
});

test("no role has a policy that AWS manages", () => {
	for (const { id, properties } of dev.resources("AWS::IAM::Role")) {
		expect(properties.ManagedPolicyArns, id).toBeUndefined();
	}
});

/** What each handler of a region may do, without what a log group or an event source asks for. */
const RIGHTS: Readonly<Record<string, readonly string[]>> = {
	Authorize: ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
	Connect: ["dynamodb:PutItem"],
	Disconnect: ["dynamodb:BatchWriteItem", "dynamodb:Query"],
	Subscribe: [
		"dynamodb:BatchWriteItem",
		"dynamodb:GetItem",
		"dynamodb:PutItem",
		"dynamodb:Query",
		"dynamodb:UpdateItem",
		"execute-api:ManageConnections",
		"secretsmanager:DescribeSecret",
		"secretsmanager:GetSecretValue",
	],
	Deliver: [
		"dynamodb:BatchWriteItem",
		"dynamodb:PutItem",
		"dynamodb:Query",
		"execute-api:ManageConnections",
		"sqs:ChangeMessageVisibility",
		"sqs:DeleteMessage",
		"sqs:GetQueueAttributes",
		"sqs:GetQueueUrl",
		"sqs:ReceiveMessage",
		"sqs:SendMessage",
	],
	Shard: [
		"dynamodb:BatchWriteItem",
		"dynamodb:GetItem",
		"dynamodb:Query",
		"execute-api:ManageConnections",
		"sqs:ChangeMessageVisibility",
		"sqs:DeleteMessage",
		"sqs:GetQueueAttributes",
		"sqs:GetQueueUrl",
		"sqs:ReceiveMessage",
		"sqs:SendMessage",
	],
	Relay: [
		"sqs:ChangeMessageVisibility",
		"sqs:DeleteMessage",
		"sqs:GetQueueAttributes",
		"sqs:GetQueueUrl",
		"sqs:ReceiveMessage",
		"sqs:SendMessage",
	],
	Ingest: [
		"dynamodb:PutItem",
		"dynamodb:Query",
		"sns:Publish",
		"sqs:GetQueueAttributes",
		"sqs:GetQueueUrl",
		"sqs:SendMessage",
	],
	// It reads the log and connects as a back end: nothing that it holds can write.
	Stream: ["dynamodb:Query", "execute-api:Invoke"],
	Sync: [
		"dynamodb:BatchWriteItem",
		"dynamodb:DescribeStream",
		"dynamodb:GetRecords",
		"dynamodb:GetShardIterator",
		"dynamodb:ListStreams",
		"dynamodb:Query",
		"execute-api:ManageConnections",
		"sqs:GetQueueAttributes",
		"sqs:GetQueueUrl",
		"sqs:SendMessage",
	],
};

test.each(Object.entries(RIGHTS))("%s may do exactly what it does, in both regions", (handler, rights) => {
	for (const { delivery } of dev.cells) {
		const own = statements.filter(({ role }) => role.startsWith(`${delivery.stackName} Handlers${handler}Role`));
		const actions = new Set(
			own.flatMap((statement) => statement.actions).filter((action) => !action.startsWith("logs:")),
		);
		expect([...actions].sort()).toEqual([...rights].sort());
	}
});

test("only the connections table is written by the handshake, only the log by deliver", () => {
	const written = (handler: string) =>
		statements
			.filter(
				({ role, actions }) =>
					role.includes(`us-east-1-delivery Handlers${handler}Role`) && actions.includes("dynamodb:PutItem"),
			)
			.flatMap(({ resources }) => resources)
			.join();
	expect(written("Connect")).toMatch(/^[^,]*OutputFnGetAttConnections[^,]*$/);
	expect(written("Deliver")).toMatch(/^[^,]*OutputFnGetAttLog[^,]*$/);
});

/** Commands of the client library, as IAM names them. */
const ACTION_OF: Readonly<Record<string, string>> = {
	BatchWriteCommand: "dynamodb:BatchWriteItem",
	ChangeMessageVisibilityBatchCommand: "sqs:ChangeMessageVisibility",
	DeleteConnectionCommand: "execute-api:ManageConnections",
	GetCommand: "dynamodb:GetItem",
	GetQueueAttributesCommand: "sqs:GetQueueAttributes",
	GetQueueUrlCommand: "sqs:GetQueueUrl",
	GetSecretValueCommand: "secretsmanager:GetSecretValue",
	PostToConnectionCommand: "execute-api:ManageConnections",
	PublishCommand: "sns:Publish",
	PutCommand: "dynamodb:PutItem",
	UpdateCommand: "dynamodb:UpdateItem",
	QueryCommand: "dynamodb:Query",
	SendMessageBatchCommand: "sqs:SendMessage",
	SendMessageCommand: "sqs:SendMessage",
};

/** What only a process outside the stacks calls, under a role of its own that no template here can name. */
const OUTSIDE: ReadonlySet<string> = new Set(["GetParameterCommand"]);

test("every call that the package makes to AWS is one that somebody is granted", () => {
	const directory = join(import.meta.dirname, "../../../lambda/layer/src/transports/aws");
	const commands = new Set(
		readdirSync(directory, { recursive: true, encoding: "utf8" })
			.filter((path) => path.endsWith(".ts"))
			.flatMap((path) => [...readFileSync(join(directory, path), "utf8").matchAll(/new aws\.\w+\.(\w+Command)\(/g)])
			.map((match) => match[1] as string),
	);
	expect(commands.size).toBeGreaterThan(5);
	const granted = new Set(statements.flatMap(({ actions }) => actions));
	for (const command of commands) {
		if (OUTSIDE.has(command)) continue;
		const action = ACTION_OF[command];
		expect(action, `${command} has no IAM action in this test's list: add it, and a grant`).toBeDefined();
		expect(granted, command).toContain(action);
	}
});
