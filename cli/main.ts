/** Finds the command and runs it. Exit codes: 0 as it should be, 1 a configuration or message with problems, a session that is not there or a check that fails, 2 a wrong call, 3 a target that does not start or take it. */
import { createRequire } from "node:module";
import { check } from "./check.ts";
import type { Command } from "./command.ts";
import { doctor } from "./doctor.ts";
import { EXIT, type Output } from "./output.ts";
import { send } from "./send.ts";
import { sessions } from "./sessions.ts";
import { tail } from "./tail.ts";

const COMMANDS = new Map<string | undefined, Command>(Object.entries({ check, send, tail, sessions, doctor }));
const USAGE = ["usage: fanout <command> | --version", ...[...COMMANDS.values()].map(({ usage }) => usage)].join("\n\n");

export async function main(
	args: readonly string[],
	environment: NodeJS.ProcessEnv,
	output: Output,
	signal: AbortSignal = new AbortController().signal,
): Promise<number> {
	const [name, ...rest] = args;
	if (name === "help" || args.includes("--help") || args.includes("-h")) {
		output.out(USAGE);
		return EXIT.fine;
	}
	if (name === "--version") {
		// Of the package as it is installed: the command's file lies elsewhere in it than its source does.
		const { version } = createRequire(import.meta.url)("mcp-fanout/package.json") as { version: string };
		output.out(version);
		return EXIT.fine;
	}
	const command = COMMANDS.get(name);
	if (command !== undefined) return command.run(rest, { environment, output, signal });
	output.err(name === undefined ? USAGE : `no such command: ${name}\n\n${USAGE}`);
	return EXIT.usage;
}
