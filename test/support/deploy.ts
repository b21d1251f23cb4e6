/**
 * Deploys the CDK app to the emulator with plain `cdk`, makes up what the emulator leaves out, asserts the result, and
 * describes each region's cell. The same steps serve a user's LocalStack.
 */
import { join } from "node:path";
import { ENV } from "mcp-fanout/env-names";
import { assertCell } from "./assert-cell.ts";
import { type Cell, type CellClients, createCellClients, functionOf, readCell } from "./cell.ts";
import { ACCOUNT, type Emulator } from "./emulator.ts";
import { run } from "./proc.ts";
import { type Progress, silent } from "./progress.ts";
import { BIN, ROOT } from "./root.ts";

export const ENVIRONMENT = "dev";
export const PREFIX = `${ENVIRONMENT}-fanout`;
export const REGIONS = ["us-east-1", "eu-west-1"] as const;
const CDK_DEADLINE_MS = 240_000;

export async function deployCells(emulator: Emulator, progress: Progress = silent): Promise<Cell[]> {
	const app = join(emulator.dir, "cdk.out");
	await Promise.all([
		progress.step("cdk bootstrap of two regions", () =>
			// Not in our root: bootstrap would synthesise the app that it finds there.
			cdk(
				emulator,
				"bootstrap",
				REGIONS.map((region) => `aws://${ACCOUNT}/${region}`),
				emulator.dir,
			),
		),
		progress.step("cdk synth", () => cdk(emulator, "synth", ["--quiet", "--output", app, ...contextOf(emulator)])),
	]);
	await progress.step("cdk deploy --all", () =>
		cdk(emulator, "deploy", ["--app", app, "--all", "--require-approval", "never", "--concurrency", "4"]),
	);
	return progress.step("making up and asserting what the emulator leaves out", () => completeCells(emulator));
}

function contextOf(emulator: Emulator): string[] {
	const path = "_aws/execute-api/{apiId}/{stage}";
	const context = {
		env: ENVIRONMENT,
		emulator: "true",
		callbackTemplate: `${emulator.endpoint}/${path}`,
		socketTemplate: `${emulator.socketEndpoint}/${path}`,
		functionUrlTemplate: `${emulator.endpoint}/_aws/lambda-url/{urlId}/`,
	};
	return Object.entries(context).flatMap(([key, value]) => ["--context", `${key}=${value}`]);
}

async function cdk(emulator: Emulator, command: string, args: readonly string[], cwd = ROOT): Promise<void> {
	await run({
		name: `cdk ${command}`,
		command: join(BIN, "cdk"),
		args: [command, ...args, "--no-notices", "--ci"],
		cwd,
		env: emulator.env,
		logFile: join(emulator.dir, `cdk-${command}.log`),
		deadlineMs: CDK_DEADLINE_MS,
	});
}

async function completeCells(emulator: Emulator): Promise<Cell[]> {
	// Late: it loads the CDK, which only synth needs otherwise.
	const makeUp = await import("./make-up.ts");
	const regions = REGIONS.map((region) => ({ region, clients: createCellClients(region, emulator.env) }));
	try {
		const cells = await Promise.all(regions.map(({ region, clients }) => readCell(clients, PREFIX, region)));
		const primary = regions[0] as { region: string; clients: CellClients };
		const first = cells[0] as Cell;
		const others = REGIONS.filter((region) => region !== primary.region);
		const sessions = first.environment[ENV.sessionsTable];
		await makeUp.addReplicas(primary.clients.dynamo, sessions, others);
		for (const [index, { region, clients }] of regions.entries()) {
			const { environment } = cells[index] as Cell;
			const { [ENV.logTable]: log, [ENV.connectionsTable]: connections, [ENV.ownersTable]: owners } = environment;
			for (const table of [sessions, log, connections, owners]) {
				await makeUp.enableTtl(clients.dynamo, table);
			}
			const stream = await makeUp.streamArnOf(clients.dynamo, sessions);
			await makeUp.addSyncSource(clients.lambda, await functionOf(clients.lambda, "sync"), stream, region);
		}
		for (const [index, { clients }] of regions.entries()) await assertCell(clients, cells[index] as Cell, REGIONS);
		return cells;
	} finally {
		for (const { clients } of regions) clients.destroy();
	}
}
