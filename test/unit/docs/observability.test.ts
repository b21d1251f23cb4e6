import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { METRICS } from "../../../lambda/layer/src/observe/metrics.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const text = read("docs/observability.md");

/** The cells of a table's rows, behind its heading. */
function rowsOf(heading: string): string[][] {
	const section = text.split(`## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
	const rows = section.split("\n").filter((line) => line.startsWith("| `"));
	return rows.map((row) => row.split("|").map((cell) => cell.trim()));
}

const namesIn = (cell = "") => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name);

test("the table of metrics has each of them, with its labels, its kind of unit, and none else", () => {
	const told = rowsOf("Metrics").map(([, name, what, labels]) => ({
		name: namesIn(name)[0],
		labels: namesIn(labels),
		unit: /^histogram, s:/.test(what ?? "") ? "s" : /^gauge, bytes:/.test(what ?? "") ? "By" : "1",
	}));
	expect(told).toEqual(Object.values(METRICS).map(({ name, labels, unit }) => ({ name, labels, unit })));
});

test("the table of events has each of them and none else", () => {
	const declared = read("lambda/layer/src/observe/events.ts").matchAll(/^\t(\w+): channel\("mcp-fanout:(\w+)"\)/gm);
	const names = [...declared].map(([, key, name]) => {
		expect(key).toBe(name);
		return name;
	});
	expect(
		rowsOf("Events")
			.map(([, name]) => namesIn(name)[0])
			.sort(),
	).toEqual(names.sort());
});
