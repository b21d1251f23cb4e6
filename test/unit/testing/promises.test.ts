import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { citationsIn, coverageProblems, PROMISES, transportCases } from "mcp-fanout/testing/transport";
import { expect, test } from "vitest";

const folder = join(import.meta.dirname, "../..");

function citedByTests(): Map<string, string[]> {
	const cited = new Map<string, string[]>();
	const note = (id: string, where: string) => cited.set(id, [...(cited.get(id) ?? []), where]);
	for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
		// This file only tells how to cite.
		if (!file.endsWith(".test.ts") || file.endsWith("promises.test.ts")) continue;
		for (const id of citationsIn(readFileSync(join(folder, file), "utf8"))) note(id, file);
	}
	for (const { id, promises } of transportCases) for (const promise of promises) note(promise, id);
	return cited;
}

test("every promise is cited by a test, and every citation is of a promise", () => {
	expect(coverageProblems(citedByTests().keys())).toEqual([]);
});

test("the check names what is not cited, and what is cited but not promised", () => {
	const known = [{ id: "P1" }, { id: "P2" }];
	expect(coverageProblems(citationsIn("works [P1], [P1] and [P7]"), known)).toEqual([
		"P2 is promised, but no test cites it",
		"P7 is cited by a test, but is no promise",
	]);
	expect(coverageProblems(["P1", "P2"], known)).toEqual([]);
	expect(citationsIn("P1 [P] [Px] (P2)")).toEqual([]);
});

test("promises are numbered without a hole, and say who owes them", () => {
	expect(PROMISES.map(({ id }) => id)).toEqual(PROMISES.map((_, index) => `P${index + 1}`));
	for (const { name, text, source } of PROMISES) expect(name && text && source).toBeTruthy();
});
