/**
 * `fanout tail`: what is published to somebody from now on, as JSON lines: `{"cursor","message"}`, and `{"mark","cursor"}`
 * where something is missing. It is a client stream like any other, on a socket that prints.
 */
import { parseArgs } from "node:util";
import type { Fanout } from "mcp-fanout";
import { command, type Surroundings } from "./command.ts";
import { EXIT, type Output, telling } from "./output.ts";
import { PrintingSocket } from "./printing-socket.ts";
import { ALONE, FILE_FLAG, fileOf, openBeside, streamOf, WHOM_FLAGS, WHOM_USAGE } from "./whom.ts";

const USAGE = `  tail [file] ${WHOM_USAGE}
       [--method <glob>] [--count <n>]
      prints what is published from now on, as JSON lines, until it is interrupted
      --method  only these methods
      --count   ends after so many`;

function callOf(args: readonly string[], environment: NodeJS.ProcessEnv) {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: { ...FILE_FLAG, ...WHOM_FLAGS, method: { type: "string" }, count: { type: "string" } },
	});
	const count = Number(values.count ?? Number.POSITIVE_INFINITY);
	if (!(count > 0) || (values.count !== undefined && !Number.isSafeInteger(count))) {
		throw new Error("--count takes an integer from 1");
	}
	const filter = values.method === undefined ? undefined : { methods: [values.method] };
	return { file: fileOf(positionals, environment, values.config), count, request: { ...streamOf(values), filter } };
}

type Call = ReturnType<typeof callOf>;

async function follow(fanout: Fanout, { count, request }: Call, output: Output, signal: AbortSignal): Promise<void> {
	let left = count;
	const socket = new PrintingSocket((frame) => {
		const { message, mark, end } = JSON.parse(frame) as Record<string, unknown>;
		if (message === undefined && mark === undefined && end === undefined) return;
		if (left > 0) output.out(frame);
		if (message !== undefined) left -= 1;
		if (left === 0) stream.close();
	});
	const stream = fanout.websocket(socket, request);
	const stop = () => stream.close();
	signal.addEventListener("abort", stop, { once: true });
	await stream.opened;
	if (signal.aborted) stop();
	await stream.closed;
	signal.removeEventListener("abort", stop);
}

async function act(call: Call, { environment, output, signal }: Surroundings): Promise<number> {
	const fanout = await openBeside(call.file, environment, { follow: true, onerror: telling(output) }, signal);
	try {
		const { transports } = fanout.health();
		if (transports.every((place) => place.startsWith("local/"))) output.err(`warning: ${ALONE}`);
		await follow(fanout, call, output, signal);
	} finally {
		await fanout.close();
	}
	return EXIT.fine;
}

export const tail = command(USAGE, callOf, act);
