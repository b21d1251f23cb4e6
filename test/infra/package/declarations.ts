/** The packed package's declarations, compiled as a user does that checks libraries too, and has installed no optional peer. */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";
import { ROOT } from "../../support/root.ts";
import { scratch } from "../synth.ts";
import { buildPackage, SOURCE } from "./build.ts";

const COMPILER = join(ROOT, "node_modules/typescript/bin/tsc");
/** Of the line before ours, which many have: attw brings it. */
const OLDER_COMPILER = createRequire(createRequire(import.meta.url).resolve("@arethetypeswrong/core")).resolve(
	"typescript/bin/tsc",
);

const { exports, dependencies, peerDependencies } = JSON.parse(readFileSync(join(SOURCE, "package.json"), "utf8")) as {
	readonly exports: Readonly<Record<string, unknown>>;
	readonly dependencies: Readonly<Record<string, string>>;
	readonly peerDependencies: Readonly<Record<string, string>>;
};

/** A compiler that has two cores to itself takes three seconds, and beside others a minute. */
vi.setConfig({ testTimeout: 180_000 });

let unpacked: string;

function run(command: string, args: readonly string[], cwd: string): string {
	const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
	if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stdout}${stderr}`);
	return stdout;
}

beforeAll(() => {
	buildPackage();
	const directory = scratch("fanout-packed-");
	const [packed] = JSON.parse(run("npm", ["pack", "--json", "--pack-destination", directory], SOURCE)) as {
		filename: string;
	}[];
	run("tar", ["-xf", packed?.filename ?? ""], directory);
	unpacked = join(directory, "package");
});

interface How {
	readonly skipLibCheck?: boolean;
	/** A folder that lies beside the program. */
	readonly beside?: string;
	readonly compiler?: string;
	readonly options?: { readonly target: string; readonly lib: readonly string[] };
}

const USUAL = { target: "es2024", lib: ["es2024", "esnext.disposable", "dom"] };

/** What the compiler says of a program with the package, its dependencies, Node's types and the libraries named. */
function compile(code: string, libraries: readonly string[], how: How = {}): string {
	const { skipLibCheck = true, beside = "", compiler = COMPILER, options = USUAL } = how;
	const directory = scratch("fanout-consumer-");
	const modules = join(directory, "node_modules");
	// Not linked: a compiler that follows links would find our own node_modules above it.
	cpSync(unpacked, join(modules, "mcp-fanout"), { recursive: true });
	for (const name of ["@types/node", ...Object.keys(dependencies), ...libraries]) {
		mkdirSync(dirname(join(modules, name)), { recursive: true });
		symlinkSync(join(ROOT, "node_modules", name), join(modules, name));
	}
	const compilerOptions = { module: "nodenext", ...options };
	const strictly = { strict: true, exactOptionalPropertyTypes: true, noEmit: true, types: ["node"], skipLibCheck };
	const endings = { allowImportingTsExtensions: true, verbatimModuleSyntax: true };
	if (beside !== "") cpSync(join(ROOT, beside), directory, { recursive: true });
	writeFileSync(
		join(directory, "tsconfig.json"),
		JSON.stringify({ compilerOptions: { ...compilerOptions, ...strictly, ...endings }, files: ["use.ts"] }),
	);
	writeFileSync(join(directory, "package.json"), '{"type":"module"}');
	writeFileSync(join(directory, "use.ts"), code);
	return spawnSync(process.execPath, [compiler, "-p", directory], { cwd: directory, encoding: "utf8" }).stdout;
}

const entries = Object.keys(exports)
	.flatMap((path) => {
		if (path.includes("*"))
			return globSync("*", { cwd: join(SOURCE, "src/transports") }).map((name) => path.replace("*", name));
		return path.endsWith(".json") ? [] : [path];
	})
	.filter((path) => !path.endsWith(".ts"))
	.map((path) => `mcp-fanout${path.slice(1)}`);

const everyEntry = entries
	.map((name, n) => `import * as m${n} from ${JSON.stringify(name)};\nexport { m${n} };\n`)
	.join("");

test("every entry point compiles where no optional peer is installed and libraries are checked", () => {
	expect(entries).toContain("mcp-fanout/transports/redis");
	expect(Object.keys(peerDependencies).length).toBeGreaterThan(5);
	expect(compile(everyEntry, [], { skipLibCheck: false })).toBe("");
});

test.each(["es2022", "es2022 dom"])("and on TypeScript 5, with the library of %s", (lib) => {
	const { version } = createRequire(OLDER_COMPILER)("typescript/package.json") as { readonly version: string };
	expect(version).toMatch(/^5\./);
	const options = { target: "es2022", lib: lib.split(" ") };
	expect(compile(everyEntry, [], { skipLibCheck: false, compiler: OLDER_COMPILER, options })).toBe("");
});

test("where a peer is installed its types are whole: a client of another library is refused", () => {
	const libraries = ["ioredis", "@nats-io/transport-node", "@nats-io/jetstream", "@nats-io/kv"];
	for (const name of libraries) expect(existsSync(join(ROOT, "node_modules", name)), name).toBe(true);
	const code = `
		import { createFanout } from "mcp-fanout";
		import { Redis } from "ioredis";
		import { connect } from "@nats-io/transport-node";
		await createFanout({ redis: { client: new Redis() }, nats: { connection: await connect() } });
		// @ts-expect-error
		await createFanout({ redis: { client: await connect() } });
		// @ts-expect-error
		await createFanout({ nats: { connection: new Redis() } });`;
	expect(compile(code, libraries)).toBe("");
});

test("a transport from outside needs the public entries and its own library, and nothing else of ours", () => {
	const code = `
		import { createFanout } from "mcp-fanout";
		import { transportCases, type Harness } from "mcp-fanout/testing/transport";
		import type { Transport } from "mcp-fanout/transport";
		import { createPostgresTransport } from "./transport.ts";
		const createTransport = async (): Promise<Transport> => createPostgresTransport({ connection: {} });
		const harness: Harness = { createTransport, namespace: () => "own", limits: { waitMs: 5_000 } };
		export const missing = transportCases.map((each) => each.missing(harness));
		await createFanout({ transports: [await createTransport()] });`;
	expect(compile(code, ["pg", "@types/pg"], { beside: "examples/transport-postgres" })).toBe("");
});
