/**
 * The file that a process is configured by, as options of `createFanout`. What needs a network comes last: secrets that
 * are named by ARN, and a cell that only its SSM parameter tells.
 */
import { readFileSync, statSync } from "node:fs";
import { asFanoutError, type FanoutError } from "../../core/errors.ts";
import { ENV } from "../env-names.ts";
import { signatureOf } from "../file-watch.ts";
import type { FanoutOptions } from "../options.ts";
import { secretRegion } from "./field.ts";
import { type Parsed, parseConfig, type WrongKey } from "./parse.ts";
import { configInvalid, type Problem } from "./problems.ts";
import { contradictions } from "./sections/aws.ts";

const MAX_FILE_BYTES = 1024 * 1024;

export function readText(file: string): string {
	const refuse = (message: string, cause?: unknown) => configInvalid([{ file, key: "file", message }], cause);
	let size: number;
	try {
		size = statSync(file).size;
		if (size <= MAX_FILE_BYTES) return readFileSync(file, "utf8");
	} catch (cause) {
		throw refuse(`cannot be read (${asFanoutError(cause, "ConfigInvalid", "reading").message})`, cause);
	}
	throw refuse(`is ${size} bytes, at most ${MAX_FILE_BYTES} are read`);
}

export interface Configuration {
	/** Undefined: variables only. */
	readonly file: string | undefined;
	/** Of the file as it was read (file-watch.ts). */
	readonly signature: string;
	readonly options: FanoutOptions;
	/** The error at keys that are right in themselves. */
	refuse(wrongs: readonly WrongKey[]): FanoutError;
}

/** `file` undefined: variables only. */
export async function readConfig(file: string | undefined, environment: NodeJS.ProcessEnv): Promise<Configuration> {
	// Before the text: what is written in between is a change.
	const signature = file === undefined ? "" : await signatureOf(file);
	const text = file === undefined ? undefined : readText(file);
	const parsed = parseConfig({ file: file ?? "environment", text }, environment);
	const options = await withCell(await withSecrets(parsed), parsed, file ?? "environment", environment);
	return { file, signature, options, refuse: parsed.refuse };
}

export async function loadConfig(file: string | undefined, environment: NodeJS.ProcessEnv): Promise<FanoutOptions> {
	return (await readConfig(file, environment)).options;
}

type Branch = Record<string, unknown>;

const SECRETS = [
	["nats", "password"],
	["nats", "token"],
	["nats", "nkey"],
	["nats", "creds"],
	["redis", "password"],
	["redis", "sentinel", "password"],
] as const;

async function withSecrets({ options }: Parsed): Promise<FanoutOptions> {
	let result = options as Branch;
	for (const path of SECRETS) {
		const [name, ...rest] = path;
		const table = options[name] as Branch | undefined;
		if (table === undefined || table.enabled === false) continue;
		const arn = rest.reduce<unknown>((at, key) => (at as Branch | undefined)?.[key], table);
		const region = typeof arn === "string" ? secretRegion(arn) : undefined;
		if (region === undefined) continue;
		const { readSecret } = await import("../../transports/aws/outside.ts");
		result = replaced(result, path, await readSecret(arn as string, region));
	}
	return result as FanoutOptions;
}

function replaced(branch: Branch, [key, ...rest]: readonly string[], value: unknown): Branch {
	if (key === undefined) return branch;
	return { ...branch, [key]: rest.length === 0 ? value : replaced(branch[key] as Branch, rest, value) };
}

async function withCell(
	options: FanoutOptions,
	{ aws, reading }: Parsed,
	file: string,
	environment: NodeJS.ProcessEnv,
): Promise<FanoutOptions> {
	if (aws === undefined) return options;
	let told = aws.options.environment ?? {};
	const problems: Problem[] = [];
	if (aws.parameter !== undefined) {
		const { region = environment.AWS_REGION ?? "", endpoint } = aws.options;
		const { readCell } = await import("../../transports/aws/outside.ts");
		const cell = await readCell(aws.parameter, region, endpoint);
		contradictions(cell, aws.stated, (key, { message, found, allowed }) =>
			problems.push({ file, key: `notification.aws.${key}`, message, found: String(found), allowed }),
		);
		told = { ...cell, ...aws.stated };
	}
	const { namespace } = options;
	const other = told[ENV.namespace];
	if (namespace !== undefined && other !== undefined && other !== "" && other !== namespace) {
		const message = `is not the cell's (${ENV.namespace})`;
		problems.push({ file, key: "notification.cluster_id", message, found: namespace, allowed: other });
	}
	if (problems.length > 0) throw configInvalid(problems);
	const { follow } = reading.general;
	return { ...options, aws: { ...options.aws, environment: told, ...(follow !== undefined && { follow }) } };
}
