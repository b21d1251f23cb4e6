/** The blocks of TypeScript of every page, compiled with the built package's declarations as a reader's are. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Block, blocksIn } from "../../support/docs-blocks.ts";
import { ROOT, STATE_DIR } from "../../support/root.ts";
import { buildPackage } from "./build.ts";

const COMPILER = join(ROOT, "node_modules/typescript/bin/tsc");

/** What the application has of its own, or the page has just spoken of. All else a block imports or makes. */
const THEIRS: Readonly<Record<string, string>> = {
	fanout: 'import("mcp-fanout").Fanout',
	client: 'import("@modelcontextprotocol/client").Client',
	keepListening: 'typeof import("mcp-fanout/client").keepListening',
	server: 'import("node:http").Server',
	buildServer: '(fanout?: object) => import("@modelcontextprotocol/server").McpServer',
	signal: "AbortSignal",
	log: "{ error(data: object, message: string): void }",
	readAgain: "(kind: string, uri?: string) => Promise<void>",
	...{ id: "string", session: "string", principal: "string", page: "string" },
};

/** A part of a function, held to its example by scaling.test.ts. */
const isPart = ({ code }: Block) => code.includes("registerTool");

function asModule({ code }: Block): string {
	const isMade = (name: string) =>
		new RegExp(`(const|function) ${name}\\b|const \\{[^}]*\\b${name}\\b|import [^"}]*\\b${name}\\b`).test(code);
	const declared = Object.entries(THEIRS)
		.filter(([name]) => new RegExp(`\\b${name}\\b`).test(code) && !isMade(name))
		.map(([name, type]) => `declare const ${name}: ${type};\n`);
	return `${declared.join("")}${code}\nexport {};\n`;
}

/** In the checkout, where our dependencies are found. */
let folder: string;
beforeAll(() => {
	buildPackage();
	mkdirSync(STATE_DIR, { recursive: true });
	folder = mkdtempSync(join(STATE_DIR, "docs-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
	["nodenext", { module: "nodenext" }],
	["bundler", { module: "esnext", moduleResolution: "bundler" }],
])("each block compiles as it stands: %s", (name, how) => {
	const root = join(folder, name);
	mkdirSync(join(root, "transport-postgres"), { recursive: true });
	const example = join(ROOT, "examples/transport-postgres/transport.ts");
	writeFileSync(join(root, "transport-postgres/transport.ts"), `export * from ${JSON.stringify(example)};\n`);
	writeFileSync(join(root, "package.json"), '{"type":"module"}');
	const strictly = { strict: true, noEmit: true, skipLibCheck: true, allowImportingTsExtensions: true };
	const paths = { "mcp-fanout-cdk": [join(ROOT, "lib/constructs/src/index.ts")] };
	const compilerOptions = { target: "es2024", lib: ["es2024", "dom"], types: ["node"], paths, ...strictly, ...how };
	writeFileSync(join(root, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
	const whole = blocksIn("ts").filter((block) => !isPart(block));
	expect(whole.length).toBeGreaterThan(14);
	for (const [index, block] of whole.entries()) {
		writeFileSync(join(root, `${block.page.replaceAll(/\W/g, "-")}-${index + 1}.ts`), asModule(block));
	}
	expect(spawnSync(process.execPath, [COMPILER, "-p", root], { cwd: root, encoding: "utf8" }).stdout).toBe("");
});
