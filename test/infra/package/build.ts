/** Builds the package, once in this process. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../../support/root.ts";

export const SOURCE = join(ROOT, "lambda/layer");

let isBuilt = false;

export function buildPackage(): void {
	if (isBuilt) return;
	const { status, stderr } = spawnSync(process.execPath, [join(SOURCE, "build.ts")], { encoding: "utf8" });
	if (status !== 0) throw new Error(`the package does not build: ${stderr}`);
	isBuilt = true;
}
