/** Runs vitest over some folders with our reporter, and brings back its counts. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Progress } from "../support/progress.ts";
import { BIN, ROOT } from "../support/root.ts";
import { COUNTS_FILE, type Counts } from "./reporter.ts";

export interface SuiteOptions {
	readonly folders: readonly string[];
	readonly logDir: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly args?: readonly string[];
	readonly deadlineMs: number;
}

export async function runSuites(options: SuiteOptions, progress: Progress): Promise<Counts> {
	const folders = options.folders.filter((folder) => existsSync(join(ROOT, folder)));
	const title = `tests of ${folders.join(", ")}`;
	const countsFile = join(options.logDir, `${folders.join("-").replaceAll("/", "-")}.json`);
	const code = await progress.step(title, () => vitest(options, folders, countsFile));
	if (!existsSync(countsFile)) {
		console.log(`FAILED  ${title}: vitest ended with code ${code} and no counts`);
		return { passed: 0, failed: 1, skipped: 0 };
	}
	const counts = JSON.parse(readFileSync(countsFile, "utf8")) as Counts;
	// Code 1 is vitest's word for what the counts hold already; any other end is a failure of its own.
	if (code !== 0 && (code !== 1 || counts.failed === 0)) {
		console.log(`FAILED  ${title}: vitest ended with code ${code}`);
		counts.failed += 1;
	}
	return counts;
}

function vitest(options: SuiteOptions, folders: readonly string[], countsFile: string): Promise<number | null> {
	const reporter = join(import.meta.dirname, "reporter.ts");
	const args = ["run", ...folders, "--reporter", reporter, ...(options.args ?? [])];
	return new Promise((resolve, reject) => {
		const child = spawn(join(BIN, "vitest"), args, {
			cwd: ROOT,
			stdio: ["ignore", "inherit", "inherit"],
			env: { ...process.env, ...options.env, NO_COLOR: "1", [COUNTS_FILE]: countsFile },
		});
		const timer = setTimeout(() => {
			console.log(`vitest is stopped after ${options.deadlineMs} ms`);
			child.kill("SIGKILL");
		}, options.deadlineMs);
		child.on("error", reject);
		child.on("exit", (code) => {
			clearTimeout(timer);
			resolve(code);
		});
	});
}
