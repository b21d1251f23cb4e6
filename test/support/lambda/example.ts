/** examples/lambda, deployed to the emulator beside the cells, and run as it was deployed in the stand-in for Lambda. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { type Cell, createCellClients } from "../cell.ts";
import type { Cells } from "../cells.ts";
import { PREFIX } from "../deploy.ts";
import { run } from "../proc.ts";
import { BIN, ROOT } from "../root.ts";
import { type LambdaFunction, startFunction } from "./function.ts";

const STACK = "fanout-example-lambda";
const EXAMPLE = join(ROOT, "examples", "lambda");
const DEADLINE_MS = 120_000;

export interface DeployedExample {
	/** The function on the emulator, whose answers are whole. */
	readonly url: string;
	/** The same in the stand-in, whose answers are streamed. */
	start(name: string, timeoutMs: number): Promise<LambdaFunction>;
}

export async function deployExample({ emulator }: Pick<Cells, "emulator">, cell: Cell): Promise<DeployedExample> {
	const out = join(emulator.dir, "example-lambda");
	const app = `node --conditions=mcp-fanout-source ${JSON.stringify(join(EXAMPLE, "app.ts"))}`;
	const outputs = join(emulator.dir, "example-lambda.json");
	await run({
		name: "cdk deploy examples/lambda",
		command: join(BIN, "cdk"),
		args: [
			...["deploy", "--app", app, "--output", out, "--outputs-file", outputs, "--require-approval", "never"],
			...["--context", `prefix=${PREFIX}`, "--context", "emulator=true", "--no-notices", "--ci"],
		],
		cwd: emulator.dir,
		env: { ...emulator.env, AWS_REGION: cell.region, AWS_DEFAULT_REGION: cell.region },
		logFile: join(emulator.dir, "cdk-deploy-example-lambda.log"),
		deadlineMs: DEADLINE_MS,
	});
	const { Url = "", FunctionName = "" } = JSON.parse(readFileSync(outputs, "utf8"))[STACK] as Record<string, string>;
	const [id] = new URL(Url).hostname.split(".");
	return {
		url: `${emulator.endpoint}/_aws/lambda-url/${id}/mcp`,
		start: (name, timeoutMs) =>
			startDeployed({ emulator, cell, functionName: FunctionName, code: out, name, timeoutMs }),
	};
}

export interface Deployed {
	readonly emulator: Cells["emulator"];
	readonly cell: Cell;
	readonly functionName: string;
	/** The cloud assembly that it was deployed from. */
	readonly code: string;
	readonly name: string;
	readonly timeoutMs: number;
}

async function startDeployed({
	emulator,
	cell,
	functionName,
	code,
	name,
	timeoutMs,
}: Deployed): Promise<LambdaFunction> {
	const clients = createCellClients(cell.region, emulator.env);
	const { Environment, Handler } = await clients.lambda.send(
		new GetFunctionConfigurationCommand({ FunctionName: functionName }),
	);
	clients.destroy();
	const only = (pattern: string, cwd: string): string => {
		const [path] = globSync(pattern, { cwd });
		if (path === undefined) throw new Error(`no ${pattern} in ${cwd}`);
		return join(cwd, path);
	};
	return startFunction({
		name,
		taskRoot: dirname(only("asset.*/index.js", code)),
		handler: Handler as string,
		nodePath: [
			only("asset.*/nodejs/node_modules", join(emulator.dir, "cdk.out")),
			// Stands for the runtime's own copy of AWS's client library.
			join(ROOT, "node_modules"),
		],
		env: {
			...Environment?.Variables,
			AWS_REGION: cell.region,
			AWS_ENDPOINT_URL: emulator.endpoint,
			AWS_ACCESS_KEY_ID: emulator.env.AWS_ACCESS_KEY_ID as string,
			AWS_SECRET_ACCESS_KEY: emulator.env.AWS_SECRET_ACCESS_KEY as string,
		},
		timeoutMs,
		logFile: join(emulator.dir, `${name}.log`),
	});
}
