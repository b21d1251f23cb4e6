/** The checks of `npm test` that are one pass or one failure each: lint, types, and what the packages would publish. */
import { join } from "node:path";
import { run } from "../support/proc.ts";
import type { Progress } from "../support/progress.ts";
import { BIN, ROOT } from "../support/root.ts";
import type { Counts } from "./reporter.ts";

const DEADLINE_MS = 180_000;

interface Check {
	readonly name: string;
	readonly command: string;
	readonly args: readonly string[];
}

const CHECKS: readonly Check[] = [
	{ name: "lint", command: "biome", args: ["ci", "--colors=off", "--error-on-warnings", "."] },
	{ name: "types", command: "tsc", args: ["--noEmit"] },
	// publint and attw read what was built.
	{ name: "build", command: "tsc", args: ["-p", "lib/constructs/tsconfig.json"] },
	...["lambda/layer", "lib/constructs"].flatMap((path) => [
		{ name: `publint ${path}`, command: "publint", args: ["--strict", path] },
		{ name: `attw ${path}`, command: "attw", args: ["--profile", "esm-only", "--pack", path] },
	]),
];

export async function runChecks(logDir: string, progress: Progress): Promise<Counts> {
	const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
	// One after another: each takes a core of its own, and the emulator is being deployed beside them.
	for (const { name, command, args } of CHECKS) {
		try {
			await progress.step(name, () =>
				run({
					name,
					command: join(BIN, command),
					args,
					cwd: ROOT,
					env: { ...(process.env as Record<string, string>), NO_COLOR: "1" },
					logFile: join(logDir, `${name.replaceAll(/[^a-z]/g, "-")}.log`),
					deadlineMs: DEADLINE_MS,
				}),
			);
			counts.passed += 1;
		} catch (error) {
			counts.failed += 1;
			console.log(`FAILED  ${name}\n${(error as Error).message}`);
		}
	}
	return counts;
}
