/**
 * What the deployed functions find in Lambda's runtime: AWS's clients, and nothing of what these are made of. Where that
 * lies is the runtime's own business, and parts of it cannot be required: https://github.com/aws/aws-cdk/issues/33099.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { RUNTIME_MODULES } from "../../lib/parts/handler-function.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const HANDLERS = join(ROOT, "lambda", "handlers");
const CARRIED = /^@aws-sdk\/(client|lib)-/;

const handlers = readdirSync(HANDLERS).filter((file) =>
	readFileSync(join(HANDLERS, file), "utf8").includes("export const handler"),
);

test.each(handlers)("%s has all in its bundle that is neither Node's nor a client of AWS", async (file) => {
	const { metafile } = await build({
		entryPoints: [join(HANDLERS, file)],
		bundle: true,
		write: false,
		metafile: true,
		platform: "node",
		format: "cjs",
		conditions: ["mcp-fanout-source"],
		define: { "import.meta.url": '"file:///"' },
		external: [...RUNTIME_MODULES, ...(file === "mcp-server.ts" ? ["mcp-fanout"] : [])],
		logLevel: "error",
	});
	const asked = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
	const foreign = asked.filter((path) => !isBuiltin(path) && !CARRIED.test(path) && !/^mcp-fanout/.test(path));
	expect(foreign).toEqual([]);
});

test("what is loaded when it is needed is a client of AWS, too", () => {
	const text = readFileSync(join(ROOT, "lambda/layer/src/transports/aws/sdk.ts"), "utf8");
	const loaded = [...text.matchAll(/\bload\("([^"]+)"\)/g)].map(([, name]) => name as string);
	expect(loaded.length).toBeGreaterThan(5);
	expect(loaded.filter((name) => !CARRIED.test(name))).toEqual([]);
});
