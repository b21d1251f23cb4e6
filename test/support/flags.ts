/** Reads a program's flags. `--help` prints its usage and ends well; a wrong call is one line and the usage, and ends with 2. */
import { type ParseArgsConfig, parseArgs } from "node:util";

type Parsed<Config extends ParseArgsConfig> = ReturnType<typeof parseArgs<Config>>;

/** A flag's value that does not serve; said as it stands. */
export class FlagError extends Error {}

function leave(text: string, code: 0 | 2): never {
	console[code === 0 ? "log" : "error"](text);
	process.exit(code);
}

/** `read` makes of the values what the program needs, and throws a FlagError at one that does not serve. */
export function readFlags<const Config extends Omit<ParseArgsConfig, "strict">, Result>(
	usage: string,
	config: Config,
	read: (parsed: Parsed<Config>) => Result,
): Result {
	if ((config.args ?? process.argv.slice(2)).some((arg) => arg === "--help" || arg === "-h")) leave(usage, 0);
	try {
		return read(parseArgs(config) as Parsed<Config>);
	} catch (error) {
		const { code = "" } = error as { code?: string };
		if (!(error instanceof FlagError) && !code.startsWith("ERR_PARSE_ARGS_")) throw error;
		return leave(`${(error as Error).message}\n\n${usage}`, 2);
	}
}
