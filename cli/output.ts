/** What commands say, and how they end. */
import { isFanoutError } from "mcp-fanout";

export interface Output {
	out(text: string): void;
	err(text: string): void;
}

export const EXIT = { fine: 0, problems: 1, usage: 2, dial: 3 } as const;

/** Tells what failed, with its causes, and says how to end; what is no failure of a fanout is thrown. */
export function failed(error: unknown, output: Output): number {
	if (!isFanoutError(error)) throw error;
	const lines = [error, ...error.causes].map((one) => (one instanceof Error ? one.message : String(one)));
	output.err([...new Set(lines)].join("\n  "));
	const isAsked = error.code === "ConfigInvalid" || error.code.startsWith("Invalid");
	return isAsked ? EXIT.problems : EXIT.dial;
}
