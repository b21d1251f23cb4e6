#!/usr/bin/env node
/** The command `fanout`. The first signal ends what runs, the second ends the process. */
import { main } from "./main.ts";

const interrupted = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupted.abort());
// Whoever read what is printed has gone, as `head` does: not heard of here it would be an uncaught exception.
process.stdout.on("error", () => interrupted.abort());
const output = { out: (text: string) => console.log(text), err: (text: string) => console.error(text) };

main(process.argv.slice(2), process.env, output, interrupted.signal).then(
	(code) => {
		process.exitCode = code;
		// Whatever still dials keeps nobody waiting.
		if (interrupted.signal.aborted) process.exit();
	},
	(error: unknown) => {
		console.error(error);
		process.exitCode = 70;
	},
);
