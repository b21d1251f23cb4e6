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
}

const expected = (name: string) => join(HERE, `expected-failures.${name}.yml`);
const scenario = (name: string): Leg => ({
	name: `${name}, protocol 2025-11-25`,
	args: ["--scenario", name, "--spec-version", "2025-11-25"],
	expectedFailures: expected("2025-11-25"),
});

export const LEGS: readonly Leg[] = [
	{
		name: "everything that protocol 2026-07-28 requires",
		args: ["--requirements", "2026-07-28"],
		expectedFailures: expected("2026-07-28"),
	},
	scenario("server-session-lifecycle"),
	scenario("server-sse-polling"),
	scenario("server-sse-multiple-streams"),
	scenario("resources-subscribe"),
];

/** What the suite printed; throws with the end of it when the suite is not satisfied. */
export function runLeg({ name, args, expectedFailures }: Leg, url: string, dir: string): Promise<string> {
	return run({
		name: `conformance: ${name}`,
		command: join(BIN, "conformance"),
		args: ["server", "--url", url, ...args, "--expected-failures", expectedFailures],
		cwd: ROOT,
		env: { PATH: CHILD_PATH, NO_COLOR: "1" },
		logFile: join(dir, `conformance-${name.replaceAll(/[^a-z0-9]+/g, "-")}.log`),
		deadlineMs: DEADLINE_MS,
	});
}
