import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { deflateRawSync } from "node:zlib";
import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { Code, Function as LambdaFunction, Runtime } from "aws-cdk-lib/aws-lambda";
import { ENV } from "mcp-fanout/env-names";
import { FanoutLayer, layLayerContent } from "mcp-fanout-cdk";
import { beforeAll, expect, test } from "vitest";
import { ACCOUNT, at, type Fields, list, scratch } from "../synth.ts";
import { buildPackage, SOURCE } from "./build.ts";

const MIB = 1024 * 1024;

let content: string;

beforeAll(() => {
	buildPackage();
	content = layLayerContent(SOURCE);
});

/** Bytes of a zip: deflated contents, and two headers with the name for each file. */
function zipBytes(directory: string): number {
	return readdirSync(directory, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.reduce(
			(sum, path) => sum + deflateRawSync(readFileSync(path)).length + 76 + 2 * (path.length - directory.length),
			22,
		);
}

function run(code: string, extension: "cjs" | "mjs"): string {
	const file = join(scratch("fanout-function-"), `index.${extension}`);
	writeFileSync(file, code);
	const { stdout, stderr } = spawnSync(process.execPath, [file], {
		encoding: "utf8",
		env: { PATH: process.env.PATH, NODE_PATH: join(content, "nodejs/node_modules") },
	});
	return stdout.trim() || stderr;
}

test("the layer's zip is at most 1 MiB, and holds the package, what tickets need, and nothing else", () => {
	expect(zipBytes(content)).toBeLessThanOrEqual(MIB);
	expect(zipBytes(content)).toBeGreaterThan(10_000);
	expect(readdirSync(join(content, "nodejs/node_modules")).sort()).toEqual(["jose", "mcp-fanout"]);
	expect(readdirSync(join(content, "nodejs/node_modules/mcp-fanout")).sort()).toEqual(["dist", "package.json"]);
});

test("a function requires it from CommonJS, as Lambda's NODE_PATH finds it", () => {
	expect(run('console.log(typeof require("mcp-fanout").createFanout)', "cjs")).toBe("function");
});

test("jose lies beside the package: an import in /opt searches there and not in the function's own node_modules", () => {
	const resolved = `require("node:module").createRequire(require.resolve("mcp-fanout"))("jose")`;
	expect(run(`console.log(typeof ${resolved}.SignJWT)`, "cjs")).toBe("function");
});

test("a function imports it from an ES module", () => {
	const url = pathToFileURL(join(content, "nodejs/node_modules/mcp-fanout/dist/index.js")).href;
	expect(run(`import { createFanout } from ${JSON.stringify(url)}; console.log(typeof createFanout);`, "mjs")).toBe(
		"function",
	);
});

test("a configuration is read and a breaker stands before each target with what the layer holds", () => {
	const url = pathToFileURL(join(content, "nodejs/node_modules/mcp-fanout/dist/index.js")).href;
	const file = join(scratch("fanout-configured-"), "fanout.toml");
	writeFileSync(file, '[notification]\ncluster_id = "by file"\n[notification.local]\n[notification.breaker]\n');
	const code = `
		import { createFanout } from ${JSON.stringify(url)};
		const fanout = await createFanout({ config: ${JSON.stringify(file)} });
		const { accepted } = await fanout.notify.toolsChanged();
		console.log(fanout.namespace, accepted.length);
		await fanout.close();`;
	expect(run(code, "mjs")).toBe("by file 1");
});

test("a package that was not built is refused, with the way out", () => {
	const empty = scratch("fanout-unbuilt-");
	expect(() => layLayerContent(empty)).toThrow(/no build of mcp-fanout; run its "build" script/);
});

interface Attached {
	readonly fn: LambdaFunction;
	readonly layer: FanoutLayer;
	template(): Template;
}

function createAttached(environment: Record<string, string> = {}, regions?: readonly string[]): Attached {
	const stack = new Stack(new App(), "Theirs", { env: { account: ACCOUNT, region: "us-east-1" } });
	const fn = new LambdaFunction(stack, "Fn", {
		runtime: Runtime.NODEJS_24_X,
		handler: "index.handler",
		code: Code.fromInline("exports.handler = async () => {};"),
		environment,
	});
	const layer = FanoutLayer.fromParameters(stack, "Fanout", {
		prefix: "dev-fanout",
		...(regions === undefined ? {} : { regions }),
	});
	return { fn, layer, template: () => Template.fromStack(stack) };
}

const variables = (template: Template): Fields => {
	const [fn] = Object.values(template.findResources("AWS::Lambda::Function")) as Fields[];
	return at(fn, "Properties", "Environment", "Variables") as Fields;
};

const granted = (template: Template): string[] =>
	(Object.values(template.findResources("AWS::IAM::Policy")) as Fields[])
		.flatMap((policy) => list(at(policy, "Properties", "PolicyDocument", "Statement")))
		.flatMap((statement) => list(at(statement, "Action")).map(String))
		.sort();

test("attach adds the layer, every variable and the grants to publish", () => {
	const { fn, layer, template } = createAttached();
	layer.attach(fn);
	expect(Object.keys(variables(template())).sort()).toEqual(Object.values(ENV).sort());
	template().hasResourceProperties("AWS::Lambda::Function", {
		Layers: [{ Ref: expectParameter(template(), "layer-arn") }],
	});
	expect(new Set(granted(template()))).toEqual(
		new Set([
			"dynamodb:PutItem",
			"dynamodb:Query",
			"sns:Publish",
			"sqs:GetQueueAttributes",
			"sqs:GetQueueUrl",
			"sqs:SendMessage",
		]),
	);
});

function expectParameter(template: Template, fact: string): string {
	const parameters = template.toJSON().Parameters as { readonly [id: string]: Fields };
	const found = Object.entries(parameters).find(([, one]) => one.Default === `/dev-fanout/${fact}`);
	if (found === undefined) throw new Error(`no parameter reads /dev-fanout/${fact}`);
	return found[0];
}

test("what the function sets itself stays, whether before attach or after", () => {
	const { fn, layer, template } = createAttached({ [ENV.namespace]: "mine" });
	layer.attach(fn);
	fn.addEnvironment(ENV.retentionSeconds, "60");
	expect(variables(template())).toMatchObject({ [ENV.namespace]: "mine", [ENV.retentionSeconds]: "60" });
});

test("listening and tickets are granted when asked for, and then only publish when asked for", () => {
	const { fn, layer, template } = createAttached();
	layer.attach(fn, { publish: false, listen: true, tickets: true });
	expect(granted(template())).toEqual([
		"dynamodb:Query",
		"execute-api:Invoke",
		"secretsmanager:DescribeSecret",
		"secretsmanager:GetSecretValue",
	]);
});

test("owning sessions is granted when asked for: exactly what the registry's store calls", () => {
	const { fn, layer, template } = createAttached();
	layer.attach(fn, { publish: false, sessions: true });
	const store = readFileSync(join(SOURCE, "src/sessions/dynamo-store.ts"), "utf8");
	const commands = new Set([...store.matchAll(/new aws\.\w+\.(\w+)Command\(/g)].map(([, name]) => name));
	const actions = [...commands].map((name) => (name === "Query" ? name : `${name}Item`));
	expect(granted(template())).toEqual(actions.map((name) => `dynamodb:${name}`).sort());
	const text = JSON.stringify(template().findResources("AWS::IAM::Policy"));
	expect(text).toContain(expectParameter(template(), `environment/${ENV.ownersTable}`));
});

test("one layer serves many functions", () => {
	const { fn, layer, template } = createAttached();
	const other = new LambdaFunction(fn.stack, "Other", {
		runtime: Runtime.NODEJS_24_X,
		handler: "index.handler",
		code: Code.fromInline("exports.handler = async () => {};"),
	});
	layer.attach(fn, { listen: true });
	layer.attach(other, { listen: true });
	expect(Object.keys(template().findResources("AWS::IAM::Policy"))).toHaveLength(2);
});

test("with its regions named, a cell found by parameters is granted without a wildcard", () => {
	const { fn, layer, template } = createAttached({}, ["us-east-1", "eu-west-1"]);
	layer.attach(fn);
	const text = JSON.stringify(template().findResources("AWS::IAM::Policy"));
	expect(text).toContain(`:sqs:eu-west-1:${ACCOUNT}:dev-fanout-mailbox.fifo`);
	expect(text).not.toContain("*");
});
