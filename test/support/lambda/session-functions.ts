/** Functions that serve sessions, each bundled as one is that is deployed: the package comes from the cell's layer. */
import { join } from "node:path";
import { build } from "esbuild";
import type { Cell } from "../cell.ts";
import type { Cells } from "../cells.ts";
import type { Version } from "../sessions/client.ts";
import { standInEnv } from "./deployed.ts";
import { type LambdaFunction, startFunction } from "./function.ts";

export async function bundleSessionServer({ emulator }: Pick<Cells, "emulator">): Promise<string> {
	const taskRoot = join(emulator.dir, "session-server");
	await build({
		entryPoints: [join(import.meta.dirname, "session-server.ts")],
		outfile: join(taskRoot, "index.js"),
		bundle: true,
		platform: "node",
		target: "node24",
		format: "cjs",
		external: ["mcp-fanout", "@aws-sdk/*"],
		logLevel: "warning",
	});
	return taskRoot;
}

export function startSessionFunction(
	{ emulator }: Pick<Cells, "emulator">,
	cell: Cell,
	options: {
		readonly taskRoot: string;
		readonly name: string;
		readonly version: Version;
		readonly timeoutMs: number;
	},
): Promise<LambdaFunction> {
	const { version, ...rest } = options;
	return startFunction({
		...rest,
		...standInEnv(emulator, cell, { ...cell.environment, SESSION_SERVER: version }),
		handler: "index.handler",
		logFile: join(emulator.dir, `${options.name}.log`),
	});
}
