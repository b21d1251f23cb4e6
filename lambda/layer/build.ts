/**
 * Builds `dist`: one file for all that `mcp-fanout` loads at its import, since every file that a process has to load
 * costs more than its parsing, and chunks for what is loaded when it is needed; declarations stay one file per source
 * file. It is built aside and then takes the old one's place, so that a reader never sees half of it. Types are judged
 * by the type check, not here. `cdk` runs this before a synth.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { type InputOptions, type OutputOptions, rolldown } from "rolldown";

const here = import.meta.dirname;

const sources = join(here, "src");

/** The entry points' sources by their place under `dist`, as the export map names them, and the command. */
function entryPoints(): Record<string, string> {
	const { exports } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
		exports: Record<string, string | { readonly "mcp-fanout-source"?: string }>;
	};
	const modules = Object.values(exports).flatMap((target) => {
		const source = typeof target === "string" ? undefined : target["mcp-fanout-source"];
		const pattern = source?.replace("/*/", "/**/");
		return pattern === undefined ? [] : globSync(pattern, { cwd: here }).map((path) => join(here, path));
	});
	return Object.fromEntries([
		...modules.map((path) => [relative(sources, path).replace(/\.ts$/, ""), path]),
		["cli/fanout", join(here, "..", "..", "cli", "fanout.ts")],
	]);
}

/** Of the declarations that users compile; in our own source it is forbidden. */
const ALLOW_ABSENT = "ts-ignore";

/**
 * Optional peers are often absent, and without `skipLibCheck` each declaration that names one would then be an error. With
 * this line the type is `any` where its library is absent, and whole where it is there.
 */
function allowAbsentPeers(directory: string): void {
	const names = Object.keys(peerDependencies).join("|");
	const naming = new RegExp(`^.*(?:from |import\\()"(?:${names})".*$`, "gm");
	for (const file of globSync("**/*.d.ts", { cwd: directory })) {
		const path = join(directory, file);
		writeFileSync(path, readFileSync(path, "utf8").replace(naming, `// @${ALLOW_ABSENT}: an optional peer\n$&`));
	}
}

function declare(outDirectory: string): void {
	const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
	const args = [compiler, "-p", "tsconfig.json", "--noCheck", "--emitDeclarationOnly", "--outDir", outDirectory];
	const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: here, encoding: "utf8" });
	if (status !== 0) throw new Error(`declarations could not be made:\n${stdout}${stderr}`);
	allowAbsentPeers(outDirectory);
}

const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
	dependencies: Record<string, string>;
	peerDependencies: Record<string, string>;
};

/**
 * Dependencies are bundled, so that a layer holds them. All else that is not ours is found where the process runs:
 * Node's own, peers, the Lambda runtime's clients.
 */
const INPUT = {
	platform: "neutral",
	external: (id, _importer, isResolved) => !isResolved && /^[^./]/.test(id) && !(id in dependencies),
	resolve: { mainFields: ["module", "main"] },
	transform: { target: "es2024" },
} satisfies InputOptions;

const OUTPUT = {
	format: "esm",
	chunkFileNames: "chunks/[name]-[hash].js",
	comments: false,
} satisfies OutputOptions;

/** What runs in browsers, or beside a synth, shares no file with what needs Node. */
const APART = /^(client\/|config\/env-names$)/;

type Modules = { getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null };

/** All that is loaded when `mcp-fanout` is imported. */
function loadedAtImport(modules: Modules): ReadonlySet<string> {
	const found = new Set([join(sources, "index.ts")]);
	for (const id of found) for (const imported of modules.getModuleInfo(id)?.importedIds ?? []) found.add(imported);
	return found;
}

async function bundle(dir: string): Promise<void> {
	const all = Object.entries(entryPoints());
	for (const isApart of [true, false]) {
		const input = Object.fromEntries(all.filter(([name]) => APART.test(name) === isApart));
		const build = await rolldown({ ...INPUT, input });
		let core: ReadonlySet<string> | undefined;
		const name = (id: string, modules: Modules) => {
			core ??= loadedAtImport(modules);
			return core.has(id) ? "core" : null;
		};
		const groups = isApart ? [] : [{ name, debugName: "core" }];
		await build.write({ ...OUTPUT, dir, codeSplitting: { groups } });
		await build.close();
	}
}

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
	await bundle(aside);
	writeFileSync(join(aside, "LICENSES.txt"), licences());
	declare(aside);
	// A temporary directory is its maker's alone; in a function's layer somebody else reads this one.
	chmodSync(aside, 0o755);
	const dist = join(here, "dist");
	const old = `${aside}-old`;
	if (existsSync(dist)) renameSync(dist, old);
	renameSync(aside, dist);
	rmSync(old, { recursive: true, force: true });
} finally {
	rmSync(aside, { recursive: true, force: true });
}
