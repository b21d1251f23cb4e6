/**
 * `npm test` after the bootstrap: checks and unit tests while the emulator is deployed, then what needs it beside what
 * starts servers of its own. No retries.
 * The last line is `N passed, N failed, N skipped`; the exit code says whether anything failed.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CELLS_FILE } from "../support/cells.ts";
import { deployCells } from "../support/deploy.ts";
import { type Emulator, startEmulator } from "../support/emulator.ts";
import { createProgress } from "../support/progress.ts";
import { STATE_DIR } from "../support/root.ts";
import { runChecks } from "./checks.ts";
import type { Counts } from "./reporter.ts";
import { runSuites, type SuiteOptions } from "./suites.ts";

/** The whole run has 15 minutes; what takes this long alone hangs. */
const SUITE_DEADLINE_MS = 720_000;
const LOG_DIR = join(STATE_DIR, "test-logs");
/** How the paths of files begin that share the emulator: one at a time, it serves one batch and one handler at a time. */
const CELL_TESTS = ["aws", "doctor-aws", "registry.", "registry-dynamo"]
	.map((name) => `test/contract/${name}`)
	.concat(["history", "lambda", "main-path"].map((name) => `test/e2e/${name}`));
/** No file: what opens the cells all the same fails and says this. */
const NOT_THEIRS = "this test is not among CELL_TESTS of test/run/test.ts";
const progress = createProgress();

async function withEmulator(work: (ready: Promise<string>) => Promise<Counts[]>): Promise<Counts[]> {
	const starting = progress.step("AWS emulator", () => startEmulator(progress));
	const stop = async () => (await starting.catch(() => undefined))?.stop();
	const quit = (code: number) => void stop().finally(() => process.exit(code));
	process.once("SIGINT", () => quit(130));
	process.once("SIGTERM", () => quit(143));
	process.once("SIGHUP", () => quit(129));
	try {
		return await work(starting.then(deploy));
	} finally {
		await stop();
	}
}

/** Resolves to the file that tells the tests where everything is. */
async function deploy(emulator: Emulator): Promise<string> {
	const cells = await deployCells(emulator, progress);
	const file = join(emulator.dir, "cells.json");
	const { endpoint, socketEndpoint, env, dir } = emulator;
	writeFileSync(file, JSON.stringify({ emulator: { endpoint, socketEndpoint, env, dir }, cells }));
	return file;
}

async function runAll(ready: Promise<string>): Promise<Counts[]> {
	const deployed = ready.then(
		(file) => ({ file }),
		(error: Error) => ({ error }),
	);
	const common = { logDir: LOG_DIR, deadlineMs: SUITE_DEADLINE_MS };
	const counts = [
		await runChecks(LOG_DIR, progress),
		await runSuites({ ...common, name: "units", paths: ["test/unit/", "test/infra/"], workers: 2 }, progress),
	];
	const outcome = await deployed;
	if ("error" in outcome) {
		console.log(`FAILED  deploying to the emulator\n${outcome.error.stack}`);
		return [...counts, { passed: 0, failed: 1, skipped: 0 }];
	}
	const cells: SuiteOptions = {
		...common,
		name: "cells",
		paths: CELL_TESTS,
		workers: 1,
		env: { [CELLS_FILE]: outcome.file },
	};
	const others: SuiteOptions = {
		...common,
		name: "brokers and processes",
		paths: ["test/contract/", "test/chaos/", "test/e2e/", "test/conformance/"],
		exclude: CELL_TESTS.map((path) => `${path}*`),
		workers: 2,
		beside: cells.workers,
		env: { [CELLS_FILE]: NOT_THEIRS },
	};
	const rest = await Promise.all([runSuites(cells, progress), runSuites(others, progress)]);
	return [...counts, ...rest];
}

async function main(): Promise<void> {
	rmSync(LOG_DIR, { recursive: true, force: true });
	mkdirSync(LOG_DIR, { recursive: true });
	// What tests and tools leave in the temporary directory goes away with the run.
	const tmp = mkdtempSync(join(tmpdir(), "mcp-fanout-test-"));
	process.env.TMPDIR = tmp;
	process.once("exit", () => rmSync(tmp, { recursive: true, force: true }));
	const counts = await withEmulator(runAll);
	const sum = (key: keyof Counts) => counts.reduce((total, each) => total + each[key], 0);
	progress.note(`all done; logs of the checks are in ${LOG_DIR}, the emulator's is ${join(STATE_DIR, "emulator.log")}`);
	console.log(`${sum("passed")} passed, ${sum("failed")} failed, ${sum("skipped")} skipped`);
	process.exitCode = sum("failed") > 0 || sum("passed") === 0 ? 1 : 0;
}

await main();
