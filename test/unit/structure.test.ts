import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { TRANSPORTS } from "../../lambda/layer/src/transports/registry.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "*.ts", "*.mjs"], {
	cwd: root,
	encoding: "utf8",
});
const files = listed
	.trim()
	.split("\n")
	.map((path) => ({ path, text: readFileSync(`${root}/${path}`, "utf8") }));
const lines = (text: string) => text.split("\n").length - 1;
const product = files.filter(({ path }) => !path.startsWith("test/"));

test("no file is over 300 lines, and the product's median is at most 120", () => {
	expect(files.filter(({ text }) => lines(text) > 300).map(({ path }) => path)).toEqual([]);
	const lengths = product.map(({ text }) => lines(text)).sort((a, b) => a - b);
	expect(lengths[Math.floor(lengths.length / 2)]).toBeLessThanOrEqual(120);
});

test("a handler is at most 60 lines", () => {
	const handlers = files.filter(({ path }) => path.startsWith("lambda/handlers/"));
	expect(handlers.length).toBeGreaterThanOrEqual(9);
	expect(handlers.filter(({ text }) => lines(text) > 60).map(({ path }) => path)).toEqual([]);
});

test("a transport is one folder and one registry line", () => {
	const folders = readdirSync(`${root}/lambda/layer/src/transports`, { withFileTypes: true }).filter((entry) =>
		entry.isDirectory(),
	);
	expect(folders.map(({ name }) => name).sort()).toEqual(Object.keys(TRANSPORTS).sort());
});

test("nothing of the product imports tests, and no file has a soft spot", () => {
	expect(product.filter(({ text }) => /from "[^"]*\/test\//.test(text)).map(({ path }) => path)).toEqual([]);
	const soft = /@ts-(ignore|nocheck)|biome-ignore|\b(it|test|describe)\.(only|todo|skip)\(/;
	const self = "test/unit/structure.test.ts";
	expect(files.filter(({ path, text }) => path !== self && soft.test(text)).map(({ path }) => path)).toEqual([]);
});

test("the package imports no MCP SDK, and AWS's client library in one file only", () => {
	const source = files.filter(({ path }) => path.startsWith("lambda/layer/src/"));
	const values = (text: string, name: string) =>
		new RegExp(`^(import|export) (?!type )[^;]*from "${name}`, "m").test(text);
	expect(source.filter(({ text }) => values(text, "@modelcontextprotocol/")).map(({ path }) => path)).toEqual([]);
	expect(
		source.filter(({ text }) => values(text, "@aws-sdk/") || values(text, "@smithy/")).map(({ path }) => path),
	).toEqual([]);
	const loading = source
		.filter(({ text }) => /require\w*\(["'`]?@?(aws-sdk|smithy|name)/.test(text))
		.map(({ path }) => path);
	expect(loading.filter((path) => path.includes("transports/aws"))).toEqual(["lambda/layer/src/transports/aws/sdk.ts"]);
});

test("a top-level await would make require() of the package fail: there is none", () => {
	const awaiting = files.filter(
		({ path, text }) => path.startsWith("lambda/layer/src/") && /^(?:const .*= )?await /m.test(text),
	);
	expect(awaiting.map(({ path }) => path)).toEqual([]);
});
