/** `fanout send`: one notification from the command line, and its receipt. */
import { parseArgs } from "node:util";
import type { NotificationInput } from "mcp-fanout";
import { command, type Surroundings } from "./command.ts";
import { EXIT } from "./output.ts";
import { ALONE, FILE_FLAG, fileOf, openBeside, targetOf, WHOM_FLAGS, WHOM_USAGE } from "./whom.ts";

const USAGE = `  send [file] --method <name> [--params <json>] ${WHOM_USAGE}
      prints the receipt as JSON, or why nothing accepted`;

function callOf(args: readonly string[], environment: NodeJS.ProcessEnv) {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: { ...FILE_FLAG, ...WHOM_FLAGS, method: { type: "string" }, params: { type: "string" } },
	});
	const { method, params } = values;
	if (method === undefined) throw new Error("--method names the notification");
	let parsed: NotificationInput["params"];
	try {
		parsed = params === undefined ? undefined : JSON.parse(params);
	} catch {
		throw new Error("--params takes a JSON object");
	}
	const notification = parsed === undefined ? { method } : { method, params: parsed };
	return { file: fileOf(positionals, environment, values.config), target: targetOf(values), notification };
}

async function act(call: ReturnType<typeof callOf>, { environment, output, signal }: Surroundings): Promise<number> {
	// What no lane takes now is told, not kept: there is nobody to keep it.
	const more = { follow: false, outbox: { maxEnvelopes: 0 } } as const;
	const fanout = await openBeside(call.file, environment, more, signal);
	try {
		const { id, channel, accepted, failed, undeliverable } = await fanout.to(call.target).send(call.notification);
		const refused = failed.map(({ lane, error: { code, message } }) => ({ lane, code, message }));
		output.out(JSON.stringify({ id, channel, accepted, failed: refused, undeliverable }));
		if (accepted.every(({ reach }) => reach === "process")) output.err(`warning: ${ALONE}`);
	} finally {
		await fanout.close();
	}
	return EXIT.fine;
}

export const send = command(USAGE, callOf, act);
