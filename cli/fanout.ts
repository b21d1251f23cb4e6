#!/usr/bin/env node
/** The command `fanout`. */
import { main } from "./main.ts";

main(process.argv.slice(2), process.env, { out: (text) => console.log(text), err: (text) => console.error(text) }).then(
	(code) => {
		process.exitCode = code;
	},
	(error: unknown) => {
		console.error(error);
		process.exitCode = 70;
	},
);
