/** What every command does alike: it reads its call, and says how that is spelled where it is wrong; then it acts. */
import { EXIT, failed, type Output } from "./output.ts";

export interface Surroundings {
	readonly environment: NodeJS.ProcessEnv;
	readonly output: Output;
	/** Aborted when the user interrupts it. */
	readonly signal: AbortSignal;
}

export interface Command {
	readonly usage: string;
	/** Resolves with the exit code. */
	run(args: readonly string[], around: Surroundings): Promise<number>;
}

/** `callOf` throws what is wrong with the call; what `act` throws of a fanout's is told, with its causes. */
export function command<C>(
	usage: string,
	callOf: (args: readonly string[], environment: NodeJS.ProcessEnv) => C,
	act: (call: C, around: Surroundings) => Promise<number>,
): Command {
	return {
		usage,
		async run(args, around) {
			const { environment, output } = around;
			let call: C;
			try {
				call = callOf(args, environment);
			} catch (error) {
				output.err(`${(error as Error).message}\n\n${usage}`);
				return EXIT.usage;
			}
			try {
				return await act(call, around);
			} catch (error) {
				return failed(error, output);
			}
		},
	};
}
