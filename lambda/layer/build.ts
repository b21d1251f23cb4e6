/**
 * Builds `dist`: one bundle per entry point with shared chunks, since every file that a process has to load costs more
 * than its parsing; declarations stay one file per source file. It is built aside and then takes the old one's place,
 * so that a reader never sees half of it. Types are judged by the type check, not here. `cdk` runs this before a synth.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { build, type Plugin } from "esbuild";

const here = import.meta.dirname;

interface EntryPoint {
	readonly in: string;
	/** Under `dist`, without its ending. */
	readonly out: string;
}

/** The entry points' sources, as the export map names them, and the command. */
function entryPoints(): EntryPoint[] {
	const { exports } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
		exports: Record<string, string | { readonly "mcp-fanout-source"?: string }>;
	};
	const modules = Object.values(exports).flatMap((target) => {
		const source = typeof target === "string" ? undefined : target["mcp-fanout-source"];
		const pattern = source?.replace("/*/", "/**/");
		return pattern === undefined ? [] : globSync(pattern, { cwd: here }).map((path) => join(here, path));
	});
	const sources = join(here, "src");
	return [
		...modules.map((path) => ({ in: path, out: relative(sources, path).replace(/\.ts$/, "") })),
		{ in: join(here, "..", "..", "cli", "fanout.ts"), out: "cli/fanout" },
	];
}

function declare(outDirectory: string): void {
	const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
	const args = [compiler, "-p", "tsconfig.json", "--noCheck", "--emitDeclarationOnly", "--outDir", outDirectory];
	const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: here, encoding: "utf8" });
	if (status !== 0) throw new Error(`declarations could not be made:\n${stdout}${stderr}`);
}

const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
	dependencies: Record<string, string>;
};

/**
 * Dependencies go into chunks of their own, so that a layer holds them and one file loads each. All else that is not
 * ours is found where the process runs: Node's own, peers, the Lambda runtime's clients.
 */
const ownDependencies: Plugin = {
	name: "own-dependencies",
	setup({ onResolve }) {
		onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
			kind === "entry-point" || path in dependencies ? undefined : { path, external: true },
		);
	},
};

function licences(): string {
	const require = createRequire(import.meta.url);
	return Object.keys(dependencies)
		.map((name) => {
			let directory = dirname(require.resolve(name));
			while (!existsSync(join(directory, "LICENSE"))) directory = dirname(directory);
			return `${name}\n\n${readFileSync(join(directory, "LICENSE"), "utf8")}`;
		})
		.join("\n\n");
}

const aside = mkdtempSync(join(here, ".dist-"));
try {
	await build({
		entryPoints: entryPoints(),
		outdir: aside,
		bundle: true,
		splitting: true,
		format: "esm",
		platform: "neutral",
		target: "es2024",
		mainFields: ["module", "main"],
		plugins: [ownDependencies],
		chunkNames: "chunks/[name]-[hash]",
		legalComments: "none",
		logLevel: "warning",
	});
	writeFileSync(join(aside, "LICENSES.txt"), licences());
	declare(aside);
	const dist = join(here, "dist");
	const old = `${aside}-old`;
	if (existsSync(dist)) renameSync(dist, old);
	renameSync(aside, dist);
	rmSync(old, { recursive: true, force: true });
} finally {
	rmSync(aside, { recursive: true, force: true });
}
