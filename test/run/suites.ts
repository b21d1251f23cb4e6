/** Runs vitest over some of the tests with our reporter, and brings back its counts. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PORTS_FROM } from "../support/ports.ts";
import type { Progress } from "../support/progress.ts";
import { BIN, ROOT } from "../support/root.ts";
import { COUNTS_FILE, type Counts } from "./reporter.ts";

export interface SuiteOptions {
	/** Of what is tested, as the lines say it. */
	readonly name: string;
	/** How the paths of its files begin. */
	readonly paths: readonly string[];
	/** Globs of files that are not its. */
	readonly exclude?: readonly string[];
	/** Files at the same time. */
	readonly workers: number;
	/** Workers of the suites that run beside this one: its own take other ports. */
	readonly beside?: number;
	readonly logDir: string;
	readonly env?: Readonly<Record<string, string>>;
	readonly deadlineMs: number;
}

export async function runSuites(options: SuiteOptions, progress: Progress): Promise<Counts> {
	const title = `tests of ${options.name}`;
	const countsFile = join(options.logDir, `${options.name.replaceAll(" ", "-")}.json`);
	const code = await progress.step(title, () => vitest(options, countsFile));
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

function vitest(options: SuiteOptions, countsFile: string): Promise<number | null> {
	const { paths, exclude = [], workers, beside = 0 } = options;
	const reporter = join(import.meta.dirname, "reporter.ts");
	const args = ["run", ...paths, "--reporter", reporter, "--maxWorkers", String(workers)];
	for (const glob of exclude) args.push("--exclude", glob);
	return new Promise((resolve, reject) => {
		const child = spawn(join(BIN, "vitest"), args, {
			cwd: ROOT,
			stdio: ["ignore", "inherit", "inherit"],
			env: { ...process.env, ...options.env, NO_COLOR: "1", [COUNTS_FILE]: countsFile, [PORTS_FROM]: String(beside) },
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
