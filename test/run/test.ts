/**
 * `npm test` after the bootstrap: checks and unit tests while the emulator is deployed, then what needs it. No retries.
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
import { runSuites } from "./suites.ts";

/** The whole run has 15 minutes; what takes this long alone hangs. */
const SUITE_DEADLINE_MS = 720_000;
const LOG_DIR = join(STATE_DIR, "test-logs");
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
	const counts = [
		await runChecks(LOG_DIR, progress),
		await runSuites({ folders: ["test/unit", "test/infra"], logDir: LOG_DIR, deadlineMs: SUITE_DEADLINE_MS }, progress),
	];
	const outcome = await deployed;
	if ("error" in outcome) {
		console.log(`FAILED  deploying to the emulator\n${outcome.error.stack}`);
		return [...counts, { passed: 0, failed: 1, skipped: 0 }];
	}
	const env = { [CELLS_FILE]: outcome.file };
	// One file at a time: they share one emulator, which serves one batch and one handler at a time.
	const args = ["--no-file-parallelism"];
	const shared = { logDir: LOG_DIR, env, args, deadlineMs: SUITE_DEADLINE_MS };
	const faults = await runSuites({ folders: ["test/contract", "test/chaos"], ...shared }, progress);
	const whole = await runSuites({ folders: ["test/e2e", "test/conformance"], ...shared }, progress);
	return [...counts, faults, whole];
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
