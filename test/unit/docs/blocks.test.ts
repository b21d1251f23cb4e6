/** Blocks of configuration and of commands, as a reader copies them; those of TypeScript are compiled beside the package. */
import { expect, test } from "vitest";
import { parseConfig } from "../../../lambda/layer/src/config/index.ts";
import { blocksIn } from "../../support/docs-blocks.ts";

test("each block of TOML is a configuration without a problem", () => {
	const files = blocksIn("toml");
	expect(files.length).toBeGreaterThan(1);
	for (const { page, code } of files) expect(() => parseConfig({ file: page, text: code }, {}), page).not.toThrow();
});

test("what a block says to type is there for who installed the package: the command is called by npx", () => {
	const lines = blocksIn("sh").flatMap(({ code }) => code.split("\n").filter((line) => line !== ""));
	expect(lines.length).toBeGreaterThan(8);
	const known = /^(npx (cdk|fanout (check|doctor|send|tail|sessions))|npm (start|test))\b/;
	expect(lines.filter((line) => !known.test(line))).toEqual([]);
});
