/** examples/lambda, deployed to the emulator beside the cells, and run as it was deployed in the stand-in for Lambda. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Cell } from "../cell.ts";
import type { Cells } from "../cells.ts";
import { PREFIX } from "../deploy.ts";
import { run } from "../proc.ts";
import { BIN, ROOT } from "../root.ts";
import { startDeployed } from "./deployed.ts";
import type { LambdaFunction } from "./function.ts";

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
			startDeployed({ emulator, cell, functionName: FunctionName, assembly: out, name, timeoutMs }),
	};
}
