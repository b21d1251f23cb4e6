import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), "utf8");
const rows = [...read("docs/traps.md").matchAll(/^\| (\d*) \| (.*) \| `([^`]+)`: (.+) \|$/gm)];

test("every trap has a test, which is where the table says and called so", () => {
	const numbers = rows.flatMap(([, number]) => (number === "" ? [] : [Number(number)]));
	expect(numbers).toEqual(Array.from({ length: 47 }, (_value, index) => index + 1));
	const lost = rows.filter(([, , , path = "", title = ""]) => !read(path).includes(title));
	expect(lost.map(([row]) => row)).toEqual([]);
});
