import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const PACKAGE = "mcp-fanout";

/** The stacks of all regions take the same content. */
const laid = new Map<string, string>();

/**
 * Lays out the built package as Lambda wants a layer: `nodejs/node_modules/mcp-fanout/{package.json,dist}`.
 * The package alone: the AWS SDK is the runtime's, the MCP SDK the function's own.
 * @returns the directory to be zipped
 */
export function layLayerContent(packageDirectory: string = findPackage()): string {
	const known = laid.get(packageDirectory);
	if (known !== undefined) return known;
	const dist = join(packageDirectory, "dist");
	if (!existsSync(join(dist, "index.js"))) {
		throw new Error(`FanoutLayer: ${dist} holds no build of ${PACKAGE}; run its "build" script first`);
	}
	const root = mkdtempSync(join(tmpdir(), `${PACKAGE}-layer-`));
	const target = join(root, "nodejs", "node_modules", PACKAGE);
	mkdirSync(target, { recursive: true });
	cpSync(join(packageDirectory, "package.json"), join(target, "package.json"));
	cpSync(dist, join(target, "dist"), { recursive: true, filter: (path) => !path.endsWith(".d.ts") });
	process.once("exit", () => rmSync(root, { recursive: true, force: true }));
	laid.set(packageDirectory, root);
	return root;
}

/** Bytes of all files below a directory, before compression. */
export function contentBytes(directory: string): number {
	return readdirSync(directory, { recursive: true, encoding: "utf8" })
		.map((path) => statSync(join(directory, path)))
		.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
}

function findPackage(): string {
	return dirname(createRequire(import.meta.url).resolve(`${PACKAGE}/package.json`));
}
