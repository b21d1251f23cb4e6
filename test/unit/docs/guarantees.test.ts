import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { GUARANTEES_FILE, guaranteesMarkdown } from "../../run/guarantees.ts";

test("docs/guarantees.md says what the promises and the transports say (npm run docs)", async () => {
	expect(readFileSync(GUARANTEES_FILE, "utf8")).toBe(await guaranteesMarkdown());
});
