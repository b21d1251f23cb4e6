import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CONFIGURATION_FILE, configurationMarkdown, SCHEMA_FILE, schemaJson } from "../../run/configuration.ts";

test("docs/configuration.md says what is checked (npm run docs)", () => {
	expect(readFileSync(CONFIGURATION_FILE, "utf8")).toBe(configurationMarkdown());
});

test("the JSON Schema is the one of what is checked (npm run docs)", () => {
	expect(readFileSync(SCHEMA_FILE, "utf8")).toBe(schemaJson());
});
