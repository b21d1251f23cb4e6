/** A function as it was deployed to the emulator (code, layer, environment), run in the stand-in for Lambda's runtime. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { GetFunctionConfigurationCommand } from "@aws-sdk/client-lambda";
import { type Cell, createCellClients } from "../cell.ts";
import type { Cells } from "../cells.ts";
import { ROOT } from "../root.ts";
import type { FunctionOptions } from "./environment.ts";
import { type EventOf, type LambdaFunction, startFunction } from "./function.ts";

export interface Deployed {
	readonly emulator: Cells["emulator"];
	readonly cell: Cell;
	readonly functionName: string;
	/** The cloud assembly that it was deployed from. Default: the cells' own. */
	readonly assembly?: string;
	readonly name: string;
	readonly timeoutMs: number;
	readonly eventOf?: EventOf;
}

interface Resource {
	readonly Type: string;
	readonly Properties?: {
		readonly Code?: { readonly S3Key?: string };
		readonly Environment?: { readonly Variables?: Readonly<Record<string, unknown>> };
	};
}

export async function startDeployed(options: Deployed): Promise<LambdaFunction> {
	const { emulator, cell, functionName, name, timeoutMs, eventOf } = options;
	const own = join(emulator.dir, "cdk.out");
	const clients = createCellClients(cell.region, emulator.env);
	const { Environment, Handler } = await clients.lambda.send(
		new GetFunctionConfigurationCommand({ FunctionName: functionName }),
	);
	clients.destroy();
	const variables = Environment?.Variables ?? {};
	return startFunction({
		name,
		taskRoot: codeOf(options.assembly ?? own, variables),
		handler: Handler as string,
		...standInEnv(emulator, cell, variables),
		timeoutMs,
		logFile: join(emulator.dir, `${name}.log`),
		...(eventOf !== undefined && { eventOf }),
	});
}

/** What a function of the cell finds around it: the layer, the runtime's modules, and its variables. */
export function standInEnv(
	emulator: Cells["emulator"],
	cell: Cell,
	variables: Readonly<Record<string, string>>,
): Pick<FunctionOptions, "nodePath" | "env"> {
	return {
		nodePath: [
			only("asset.*/nodejs/node_modules", join(emulator.dir, "cdk.out")),
			// Stands for the runtime's own copy of AWS's client library.
			join(ROOT, "node_modules"),
		],
		env: {
			...variables,
			AWS_REGION: cell.region,
			AWS_ENDPOINT_URL: emulator.endpoint,
			AWS_ACCESS_KEY_ID: emulator.env.AWS_ACCESS_KEY_ID as string,
			AWS_SECRET_ACCESS_KEY: emulator.env.AWS_SECRET_ACCESS_KEY as string,
		},
	};
}

/** The directory of the function's asset: the one whose template names the same Powertools service, or none. */
function codeOf(assembly: string, variables: Readonly<Record<string, string>>): string {
	const service = "POWERTOOLS_SERVICE_NAME";
	for (const path of globSync("*.template.json", { cwd: assembly })) {
		const { Resources } = JSON.parse(readFileSync(join(assembly, path), "utf8")) as {
			readonly Resources: Readonly<Record<string, Resource>>;
		};
		for (const { Type, Properties } of Object.values(Resources)) {
			if (Type !== "AWS::Lambda::Function") continue;
			const { Code, Environment } = Properties ?? {};
			if (Environment?.Variables?.[service] !== variables[service]) continue;
			return join(assembly, `asset.${Code?.S3Key?.replace(/\.zip$/, "")}`);
		}
	}
	throw new Error(`no function of ${variables[service] ?? "the example"} in ${assembly}`);
}

function only(pattern: string, cwd: string): string {
	const [path] = globSync(pattern, { cwd });
	if (path === undefined) throw new Error(`no ${pattern} in ${cwd}`);
	return join(cwd, path);
}
