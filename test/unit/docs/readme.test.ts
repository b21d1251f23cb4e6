import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { main } from "../../../cli/main.ts";

const root = join(import.meta.dirname, "../../..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const fences = (language: string) =>
	[...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, body]) => body as string);

test("the README's example is the file that it names, to the letter, and says what it should", async () => {
	const file = join(root, "examples/quick-start/main.ts");
	expect(fences("ts")).toEqual([readFileSync(file, "utf8")]);
	const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=mcp-fanout-source", file], {
		timeout: 20_000,
	});
	expect(stdout.trim().split("\n")).toEqual([
		"MCP client: tools changed",
		"SSE client: notifications/tools/list_changed",
		"SSE client: notifications/message",
		"accepted by: local (process)",
	]);
});

test("the README's fanout.toml loads, and routes as it reads", async () => {
	const [text] = fences("toml");
	const file = join(mkdtempSync(join(tmpdir(), "fanout-readme-")), "fanout.toml");
	writeFileSync(file, text ?? "");
	const said: string[] = [];
	const output = { out: (line: string) => said.push(line), err: (line: string) => said.push(line) };
	const args = ["check", file, "--session", "lambda-7", "--method", "notifications/progress"];
	expect(await main(args, {}, output), said.join("\n")).toBe(0);
	expect(said.join("\n")).toContain("lanes: nats");
});

test("every command of the README exists, and so does every file that it links", () => {
	const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
		scripts: Record<string, string>;
	};
	const commands =
		fences("sh")
			.join("")
			.match(/^npm (?:run )?(\S+)/gm) ?? [];
	expect(commands.length).toBeGreaterThan(1);
	for (const command of commands) expect(Object.keys(scripts)).toContain(command.replace(/^npm (?:run )?/, ""));
	const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path]) => path as string);
	expect(links.length).toBeGreaterThan(2);
	for (const link of links) expect(existsSync(join(root, link)), link).toBe(true);
});
