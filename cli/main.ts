/** Finds the command and runs it. Exit codes: 0 as it should be, 1 a configuration or message with problems, a session that is not there or a check that fails, 2 a wrong call, 3 a target that does not start or take it. */
import { CHECK_USAGE, check } from "./check.ts";
import { DOCTOR_USAGE, doctor } from "./doctor.ts";
import { EXIT, type Output } from "./output.ts";
import { SEND_USAGE, send } from "./send.ts";
import { SESSIONS_USAGE, sessions } from "./sessions.ts";
import { TAIL_USAGE, tail } from "./tail.ts";

const USAGE = `usage: fanout <command>

${CHECK_USAGE}

${SEND_USAGE}

${TAIL_USAGE}

${SESSIONS_USAGE}

${DOCTOR_USAGE}`;

export async function main(
	args: readonly string[],
	environment: NodeJS.ProcessEnv,
	output: Output,
	signal: AbortSignal = new AbortController().signal,
): Promise<number> {
	const [command, ...rest] = args;
	if (command === "help" || args.includes("--help") || args.includes("-h")) {
		output.out(USAGE);
		return EXIT.fine;
	}
	if (command === "check") return check(rest, environment, output);
	if (command === "send") return send(rest, environment, output);
	if (command === "tail") return tail(rest, environment, output, signal);
	if (command === "sessions") return sessions(rest, environment, output);
	if (command === "doctor") return doctor(rest, environment, output, signal);
	output.err(command === undefined ? USAGE : `no such command: ${command}\n\n${USAGE}`);
	return EXIT.usage;
}
