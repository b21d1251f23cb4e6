/** The demo's table as text. */
import type { Row } from "./tally.ts";

const ms = (value: number) => (Number.isNaN(value) ? "-" : `${value.toFixed(0)} ms`);

const COLUMNS: readonly (readonly [title: string, cell: (row: Row) => string])[] = [
	["path", (row) => row.path],
	["sent", (row) => String(row.sent)],
	["received", (row) => String(row.received)],
	["p50", (row) => ms(row.p50)],
	["p99", (row) => ms(row.p99)],
	["duplicates", (row) => String(row.duplicates)],
	["out of order", (row) => String(row.outOfOrder)],
	["lost", (row) => String(row.lost)],
];

export function formatTable(rows: readonly Row[]): string {
	const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))];
	const widths = COLUMNS.map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
	const pad = (text: string, column: number) => {
		const width = widths[column] as number;
		return column === 0 ? text.padEnd(width) : text.padStart(width);
	};
	const lines = cells.map((line) => line.map(pad).join("  "));
	return [lines[0], widths.map((width) => "-".repeat(width)).join("  "), ...lines.slice(1)].join("\n");
}
