/**
 * Entry of `npm start` and `npm test` on a fresh machine: plain JavaScript that any Node >= 20 runs. Installs what
 * package-lock.json names when node_modules is missing or stale, builds the package, and runs the given program on
 * the Node 24 that the project pins. Usage: node bootstrap.mjs <program.ts> [arguments…]
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MIN_NODE_MAJOR = 20;
const NEEDED_NODE_MAJOR = 24;
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MODULES = join(ROOT, "node_modules");
const NODE = join(MODULES, "node", "bin", "node");
const started = performance.now();

function note(text) {
	console.log(`[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s] ${text}`);
}

function fail(text) {
	console.error(text);
	process.exit(1);
}

/** Runs to the end; the child gets Ctrl-C from the terminal itself, other signals from us, and decides its exit code. */
function run(command, args, options = {}) {
	return new Promise((resolve, reject) => {
		const child = spawn(command, args, { cwd: ROOT, stdio: "inherit", ...options });
		const forward = (signal) => child.kill(signal);
		const ignore = () => {};
		process.on("SIGINT", ignore);
		process.on("SIGTERM", forward);
		process.on("SIGHUP", forward);
		child.on("error", reject);
		child.on("exit", (code, signal) => {
			process.off("SIGINT", ignore);
			process.off("SIGTERM", forward);
			process.off("SIGHUP", forward);
			resolve(code ?? (signal === "SIGINT" ? 130 : 143));
		});
	});
}

/** What is installed is what the lock names. Optional packages may be of another platform. */
function isInstalled() {
	const installedFile = join(MODULES, ".package-lock.json");
	if (!existsSync(installedFile) || !existsSync(NODE)) return false;
	const wanted = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")).packages;
	const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
	return Object.entries(wanted).every(
		([path, { version, optional, link }]) =>
			!path.startsWith("node_modules/") || optional || link || installed[path]?.version === version,
	);
}

async function step(text, command, args, options) {
	const from = performance.now();
	note(`${text} …`);
	const code = await run(command, args, options);
	if (code !== 0) fail(`${text}: ${command} ${args.join(" ")} ended with code ${code}`);
	note(`${text}: done in ${((performance.now() - from) / 1000).toFixed(1)} s`);
}

async function main() {
	const [program, ...args] = process.argv.slice(2);
	if (program === undefined) fail("usage: bootstrap.mjs <program.ts> [arguments…]");
	const major = Number(process.versions.node.split(".")[0]);
	if (major < MIN_NODE_MAJOR) fail(`Node >= ${MIN_NODE_MAJOR} is needed, this is ${process.versions.node}`);
	const npm = process.env.npm_execpath;
	const npmCommand = npm?.endsWith(".js") ? [process.execPath, [npm]] : ["npm", []];
	if (!isInstalled()) {
		await step("npm ci", npmCommand[0], [...npmCommand[1], "ci", "--no-audit", "--no-fund"]);
		if (!existsSync(NODE)) fail(`the package "node" installed no binary at ${NODE}: are install scripts allowed?`);
	}
	const path = [dirname(NODE), join(MODULES, ".bin"), process.env.PATH].join(delimiter);
	const env = { ...process.env, PATH: path };
	const version = readFileSync(join(MODULES, "node", "package.json"), "utf8");
	if (!JSON.parse(version).version.startsWith(`${NEEDED_NODE_MAJOR}.`))
		fail(`node ${NEEDED_NODE_MAJOR} is not installed`);
	await step("build the package", NODE, [join("lambda", "layer", "build.ts")], { env });
	process.exitCode = await run(NODE, [program, ...args], { env });
}

await main();
