/**
 * Counts test cases for the last line of `npm test`, and prints each failure and each skip with its reason. A skip
 * without a reason is a failure, and so is a file that does not load or an error outside of every test. Cases that did
 * not run because their file's set-up failed are counted, and that failure is printed once for all of them.
 */
import { writeFileSync } from "node:fs";
import { relative } from "node:path";
import type { SerializedError } from "vitest";
import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node";

export interface Counts {
	passed: number;
	failed: number;
	skipped: number;
}

/** The environment variable that names the file for the counts. */
export const COUNTS_FILE = "FANOUT_TEST_COUNTS";

export default class CountingReporter implements Reporter {
	private readonly counts: Counts = { passed: 0, failed: 0, skipped: 0 };

	onTestCaseResult(test: TestCase): void {
		const result = test.result();
		const name = `${relative(process.cwd(), test.module.moduleId)} > ${test.fullName}`;
		if (result.state === "passed") this.counts.passed += 1;
		else if (result.state === "failed") {
			this.counts.failed += 1;
			this.print(`FAILED  ${name}`, result.errors);
		} else if (result.state === "skipped") {
			const reason = result.note;
			if (reason === undefined || reason === "") {
				this.counts.failed += 1;
				if (!setUpFailed(test)) this.print(`FAILED  ${name}: skipped without a reason`, []);
			} else {
				this.counts.skipped += 1;
				console.log(`SKIPPED ${name}: ${reason}`);
			}
		}
	}

	onTestModuleEnd(module: TestModule): void {
		const tests = [...module.children.allTests()];
		const file = relative(process.cwd(), module.moduleId);
		const errors = [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => suite.errors())];
		const ms = Math.round(module.diagnostic().duration);
		console.log(
			`${module.ok() && errors.length === 0 ? "ok     " : "FAILED "} ${file} (${tests.length} tests, ${ms} ms)`,
		);
		this.save();
		if (errors.length === 0 && tests.length > 0) return;
		this.counts.failed += 1;
		this.save();
		this.print(`FAILED  ${file}: ${errors.length === 0 ? "holds no test" : "does not load or set up"}`, errors);
	}

	onTestRunEnd(_modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
		if (unhandled.length > 0) {
			this.counts.failed += unhandled.length;
			this.print("FAILED  outside of every test", unhandled);
		}
		this.save();
	}

	/** After every file, so that a run that has to be stopped has counts too. */
	private save(): void {
		const file = process.env[COUNTS_FILE];
		if (file !== undefined) writeFileSync(file, JSON.stringify(this.counts));
	}

	private print(title: string, errors: readonly { message?: string; stack?: string; diff?: string }[]): void {
		console.log(title);
		for (const { message, stack, diff } of errors) {
			const lines = (stack ?? message ?? "").split("\n").filter((line) => !line.includes("/node_modules/"));
			console.log([...lines, ...(diff === undefined ? [] : [diff])].join("\n"));
		}
	}
}

function setUpFailed(test: TestCase): boolean {
	for (let parent: TestSuite | TestModule = test.parent; ; parent = parent.parent) {
		if (parent.errors().length > 0) return true;
		if (parent.type === "module") return false;
	}
}
