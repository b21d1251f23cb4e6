import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const PACKAGE = "mcp-fanout";

/** The stacks of all regions take the same content. */
const laid = new Map<string, string>();

/**
 * Lays out the built package as Lambda wants a layer: `nodejs/node_modules/mcp-fanout/{package.json,dist}`.
 * With `jose`, which tickets need: from /opt, Node finds nothing that lies in the function's own node_modules. Neither SDK:
 * AWS's is the runtime's, MCP's the function's own.
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
	const jose = findJose(packageDirectory);
	if (jose !== undefined) {
		const filter = (path: string) => !path.includes(join("dist", "types"));
		cpSync(jose, join(root, "nodejs", "node_modules", "jose"), { recursive: true, filter });
	}
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

/** An optional peer: whoever issues no tickets may not have installed it. */
function findJose(packageDirectory: string): string | undefined {
	try {
		return dirname(createRequire(join(packageDirectory, "package.json")).resolve("jose/package.json"));
	} catch {
		return undefined;
	}
}
