/** `fanout doctor`: why a fleet does not hear. Looks at what a server would start with, and says what it found and what to do. */
import { parseArgs } from "node:util";
import { isFanoutError } from "mcp-fanout";
import { type Examination, examine, type Finding, inForce, loadConfig } from "mcp-fanout/config";
import { command, type Surroundings } from "./command.ts";
import { EXIT, line } from "./output.ts";
import { roundTrip } from "./round-trip.ts";
import { FILE_FLAG, fileOf, NAMES } from "./whom.ts";

const USAGE = `  doctor [file] [--round-trip]
      reads the configuration as a server would and looks at each enabled transport, the files and the session registry,
      all at once, each for as long as a start may take: a line of ok, warn or fail each, what was found, what to do.
      It makes and changes nothing that the start of a server would not.
      --round-trip  starts each transport that has not failed, publishes one message to a topic that nobody else uses, and
                    waits to hear it; the message stays in the log for as long as that keeps it
      exit code 0 when nothing failed, else 1`;

function callOf(args: readonly string[], environment: NodeJS.ProcessEnv) {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: { ...FILE_FLAG, "round-trip": { type: "boolean" } },
	});
	return { file: fileOf(positionals, environment, values.config), trip: values["round-trip"] === true };
}

type Call = ReturnType<typeof callOf>;

function failing(error: unknown): Finding[] {
	if (!isFanoutError(error)) throw error;
	// Secrets by ARN and a cell's parameter are read with the file, and no server starts without them.
	const todo = error.code === "ConfigInvalid" ? undefined : "does it exist, and may this process's role read it?";
	// One problem of a file each, where there are several.
	return error.message.split("\n").map((found) => ({ state: "fail", found, todo }));
}

const hasFailed = (findings: readonly Finding[]) => findings.some(({ state }) => state === "fail");

async function look({ file, trip }: Call, { environment, output, signal }: Surroundings): Promise<boolean> {
	let isFine = true;
	const tell = (subject: string, findings: readonly Finding[]): void => {
		for (const { state, found, todo } of findings) {
			output.out(`${state.padEnd(4)} ${subject}: ${line(found)}${todo === undefined ? "" : ` -> ${todo}`}`);
		}
		if (hasFailed(findings)) isFine = false;
	};
	let examinations: Examination[];
	let options: Awaited<ReturnType<typeof loadConfig>>;
	try {
		options = inForce(await loadConfig(file, environment), environment);
		examinations = examine(options, environment, signal);
	} catch (error) {
		tell("configuration", failing(error));
		return isFine;
	}
	tell("configuration", [{ state: "ok", found: file ?? "no file, so by the environment's variables" }]);
	const trips = examinations.map(async ({ subject, findings }) => {
		const name = NAMES.find((one) => one === subject);
		if (!trip || name === undefined || hasFailed(await findings)) return [];
		return [await roundTrip(options, name, signal)];
	});
	for (const [index, { subject, findings }] of examinations.entries()) {
		tell(subject, await findings);
		tell(subject, (await trips[index]) ?? []);
	}
	return isFine;
}

export const doctor = command(USAGE, callOf, async (call, around) => {
	return (await look(call, around)) ? EXIT.fine : EXIT.problems;
});
