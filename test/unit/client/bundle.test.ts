import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

it.each([
	{ names: "connect, connectSse", maxBytes: 6 * 1024 },
	{ names: "keepListening", maxBytes: 2.5 * 1024 },
])("is small, and needs nothing that a browser does not have: $names", async ({ names, maxBytes }) => {
	const { outputFiles, metafile } = await build({
		stdin: { contents: `export { ${names} } from "mcp-fanout/client";`, resolveDir: import.meta.dirname },
		conditions: ["mcp-fanout-source"],
		platform: "browser",
		format: "esm",
		bundle: true,
		minify: true,
		write: false,
		metafile: true,
	});
	const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path));
	expect(imports).toEqual([]);
	expect(gzipSync(outputFiles[0]?.contents ?? "").length).toBeLessThanOrEqual(maxBytes);
});
