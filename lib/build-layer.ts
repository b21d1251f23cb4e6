/**
 * Builds the package that the layer carries: TypeScript to `lambda/layer/dist`, in a directory aside that then takes the old
 * one's place, so that a file deleted from the source is gone from the layer too. `cdk` runs this before each synth.
 * Types are judged by the type check, not here: `--noCheck` makes this a matter of a second.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

export function buildLayer(packageDirectory: string): void {
	const aside = mkdtempSync(join(packageDirectory, ".dist-"));
	try {
		compilePackage(packageDirectory, aside);
		const dist = join(packageDirectory, "dist");
		const old = `${aside}-old`;
		if (existsSync(dist)) renameSync(dist, old);
		renameSync(aside, dist);
		rmSync(old, { recursive: true, force: true });
	} finally {
		rmSync(aside, { recursive: true, force: true });
	}
}

export function compilePackage(packageDirectory: string, outDirectory: string): void {
	const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
	const { status, stdout, stderr } = spawnSync(
		process.execPath,
		[compiler, "-p", join(packageDirectory, "tsconfig.json"), "--noCheck", "--outDir", outDirectory],
		{ encoding: "utf8" },
	);
	if (status !== 0) throw new Error(`${packageDirectory} does not build:\n${stdout}${stderr}`);
}

if (import.meta.main) buildLayer(join(import.meta.dirname, "..", "lambda", "layer"));
