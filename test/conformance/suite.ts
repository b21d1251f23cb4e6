/**
 * The official suite in the legs that are run here, each with its list of failures that are expected: the suite itself
 * fails when another one fails, and when a listed one passes. A warning counts as a failure.
 */
import { join } from "node:path";
import { run } from "../support/proc.ts";
import { BIN, CHILD_PATH, ROOT } from "../support/root.ts";

const DEADLINE_MS = 120_000;
const HERE = import.meta.dirname;

export interface Leg {
	readonly name: string;
	readonly args: readonly string[];
	readonly expectedFailures: string;
	/** Checks that must have passed: where it finds nothing to check, the suite is satisfied too. */
	readonly passes: number;
}

const expected = (version: string) => join(HERE, `expected-failures.${version}.yml`);
const everything = (version: string, passes: number): Leg => ({
	name: `everything that protocol ${version} requires`,
	args: ["--requirements", version],
	expectedFailures: expected(version),
	passes,
});
const scenario = (name: string, passes: number): Leg => ({
	name: `${name}, protocol 2025-11-25`,
	args: ["--scenario", name, "--spec-version", "2025-11-25"],
	expectedFailures: expected("2025-11-25"),
	passes,
});

export const LEGS: readonly Leg[] = [
	everything("2026-07-28", 120),
	everything("2025-11-25", 65),
	// The first two are newer than the requirements of their version, which run them without counting them.
	scenario("server-session-lifecycle", 3),
	scenario("server-sse-polling", 3),
	scenario("server-sse-multiple-streams", 1),
	scenario("resources-subscribe", 2),
];

/** `Total: 154 passed, …` of a whole run, or `Passed: 3/3, …` of one scenario. */
function countPassed(output: string): number {
	return Number(/^Total: (\d+) passed/m.exec(output)?.[1] ?? /^Passed: (\d+)\//m.exec(output)?.[1] ?? 0);
}

/** What the suite printed; throws with the end of it when the suite is not satisfied. */
export async function runLeg({ name, args, expectedFailures, passes }: Leg, url: string, dir: string): Promise<string> {
	const output = await run({
		name: `conformance: ${name}`,
		command: join(BIN, "conformance"),
		args: ["server", "--url", url, ...args, "--expected-failures", expectedFailures],
		cwd: ROOT,
		env: { PATH: CHILD_PATH, NO_COLOR: "1" },
		logFile: join(dir, `conformance-${name.replaceAll(/[^a-z0-9]+/g, "-")}.log`),
		deadlineMs: DEADLINE_MS,
	});
	const passed = countPassed(output);
	if (passed < passes) throw new Error(`${name}: ${passed} checks passed, at least ${passes} have to:\n${output}`);
	return output;
}
