/** Finds the command and runs it. Exit codes: 0 as it should be, 1 a configuration with problems, 2 a wrong call, 3 a target that does not start. */
import { CHECK_USAGE, check } from "./check.ts";

export interface Output {
	out(text: string): void;
	err(text: string): void;
}

export const EXIT = { fine: 0, problems: 1, usage: 2, dial: 3 } as const;

const USAGE = `usage: fanout <command>

${CHECK_USAGE}`;

export async function main(args: readonly string[], environment: NodeJS.ProcessEnv, output: Output): Promise<number> {
	const [command, ...rest] = args;
	if (command === "help" || args.includes("--help") || args.includes("-h")) {
		output.out(USAGE);
		return EXIT.fine;
	}
	if (command === "check") return check(rest, environment, output);
	output.err(command === undefined ? USAGE : `no such command: ${command}\n\n${USAGE}`);
	return EXIT.usage;
}
