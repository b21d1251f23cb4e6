/**
 * `fanout check`: what a configuration says, what it would do with one message, what in it is probably not meant, and
 * with --dial whether each target starts within its deadline.
 */
import { parseArgs } from "node:util";
import type { FanoutOptions } from "mcp-fanout";
import { CONFIG_FILE, type Explanation, explain, inForce, loadConfig, parseConfig, readText } from "mcp-fanout/config";
import { command, type Surroundings } from "./command.ts";
import { EXIT } from "./output.ts";
import { alone, dial, FILE_FLAG, fileOf, NAMES } from "./whom.ts";

const USAGE = `  check [file] [--session <id>] [--method <name>] [--sessions <n>] [--dial]
      file        or --config <file>, here and below; default: FANOUT_CONFIG, then ./${CONFIG_FILE}, then the environment
      --session   shows what becomes of a notification to this session; without it, of one to everyone
      --method    its method (default notifications/message)
      --sessions  how many sessions the process holds (default 0)
      --dial      starts every enabled transport and closes it again`;

const DEFAULT_METHOD = "notifications/message";

interface Call {
	readonly file: string | undefined;
	readonly session: string | undefined;
	readonly method: string | undefined;
	readonly sessions: number;
	readonly dial: boolean;
}

function callOf(args: readonly string[], environment: NodeJS.ProcessEnv): Call {
	const { values, positionals } = parseArgs({
		args: [...args],
		allowPositionals: true,
		options: {
			...FILE_FLAG,
			session: { type: "string" },
			method: { type: "string" },
			sessions: { type: "string" },
			dial: { type: "boolean" },
		},
	});
	const sessions = Number(values.sessions ?? 0);
	if (!Number.isSafeInteger(sessions) || sessions < 0) throw new Error("--sessions takes an integer from 0");
	const file = fileOf(positionals, environment, values.config);
	return { file, session: values.session, method: values.method, sessions, dial: values.dial === true };
}

function describe({ enabled, disabled, fallback }: Explanation, options: FanoutOptions): string[] {
	const rules = options.routing?.rules ?? [];
	return [
		`transports by priority: ${enabled.join(", ")}`,
		...(disabled.length === 0 ? [] : [`not enabled: ${disabled.join(", ")}`]),
		`while a target refuses: ${fallback === "local" ? "client streams of this process get early copies" : "client streams wait"}`,
		...rules.map(({ condition, targets, continueOnMatch }, index) => {
			const goesOn = continueOnMatch === true ? ", and the next rules are asked too" : "";
			return `rule ${index + 1}: ${JSON.stringify(condition)} -> ${targets.join(", ")}${goesOn}`;
		}),
	];
}

function decided(explanation: Explanation, { session, method = DEFAULT_METHOD, sessions }: Call): string[] {
	const { rules, lanes, backup } = explanation.decide({ session, method, sessions });
	const whom = session === undefined ? "everyone" : `session ${session}`;
	const why = rules.length === 0 ? "no rule matches: by priority" : `rule ${rules.join(", then rule ")}`;
	return [
		`${method} to ${whom}:`,
		`  ${why}`,
		`  lanes: ${lanes.join(", ")}`,
		...(backup ? ["  backup: local (this process's client streams, while the first lane refuses)"] : []),
	];
}

async function dialled(options: FanoutOptions, { output, signal }: Surroundings): Promise<boolean> {
	let isFine = true;
	for (const name of NAMES) {
		const one = options[name];
		if (one === undefined || one.enabled === false || signal.aborted) continue;
		const started = performance.now();
		try {
			const fanout = await dial({ ...alone(options, name), startup: "fail" }, signal);
			output.out(`${name}: started in ${Math.round(performance.now() - started)} ms`);
			await fanout.close();
		} catch (error) {
			isFine = false;
			output.err(`${name}: ${(error as Error).message}`);
		}
	}
	return isFine;
}

async function act(call: Call, around: Surroundings): Promise<number> {
	const { environment, output } = around;
	const { file = "environment" } = call;
	const text = call.file === undefined ? undefined : readText(call.file);
	const options = inForce(parseConfig({ file, text }, environment).options, environment);
	const explanation = explain(options);
	output.out(text === undefined ? `no ${CONFIG_FILE} here, the environment: ok` : `${file}: ok`);
	for (const line of describe(explanation, options)) output.out(line);
	for (const warning of explanation.warnings) output.out(`warning: ${warning}`);
	if (call.session !== undefined || call.method !== undefined) {
		for (const line of decided(explanation, call)) output.out(line);
	}
	if (!call.dial) return EXIT.fine;
	const dialling = inForce(await loadConfig(call.file, environment), environment);
	return (await dialled(dialling, around)) ? EXIT.fine : EXIT.dial;
}

export const check = command(USAGE, callOf, act);
