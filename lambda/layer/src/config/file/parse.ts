/** A configuration's text: parsed, read and planned without any side effect. All problems are one error. */
import { parse, TomlError } from "smol-toml";
import type { FanoutError } from "../../core/errors.ts";
import { locateKeys } from "./locate.ts";
import { readOverrides } from "./overrides.ts";
import { type Plan, planOf } from "./plan.ts";
import { configInvalid, type Problem } from "./problems.ts";
import { type Document, type Reading, readDocument } from "./reader.ts";
import type { TableName } from "./schema.ts";
import type { Wrong } from "./section.ts";

export interface Source {
	/** Its name, for errors. */
	readonly file: string;
	/** Undefined: only variables. */
	readonly text: string | undefined;
}

export interface WrongKey extends Wrong {
	readonly table: TableName | undefined;
	readonly key: string;
}

export interface Parsed extends Plan {
	readonly reading: Reading;
	/** The error at keys that are right in themselves. */
	refuse(wrongs: readonly WrongKey[]): FanoutError;
}

const MAX_DEPTH = 64;

function documentOf({ file, text }: Source, environment: NodeJS.ProcessEnv, problems: Problem[]): Document {
	const overrides = readOverrides(environment, problems);
	if (text === undefined) return { file, data: undefined, lines: new Map(), overrides };
	try {
		const data = parse(text, { maxDepth: MAX_DEPTH, unsafeKeyBehaviour: "throw" });
		return { file, data, lines: locateKeys(text), overrides };
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		// What follows the first line of its message quotes the file, which may hold what is not to be shown.
		const [message = "is not TOML"] = error.message.split("\n");
		throw configInvalid([...problems, { file, line: error.line, key: `column ${error.column}`, message }], undefined);
	}
}

/** A general key may stand under a transport instead. */
function tableOf({ general, tables }: Reading, key: string): TableName | undefined {
	if (key !== "cluster_id" || general.cluster_id !== undefined) return undefined;
	return (["nats", "redis"] as const).find((name) => tables[name]?.cluster_id !== undefined);
}

export function parseConfig(source: Source, environment: NodeJS.ProcessEnv): Parsed {
	const problems: Problem[] = [];
	const reading = readDocument(documentOf(source, environment, problems), problems);
	const plan = planOf(reading, environment);
	if (problems.length > 0) throw configInvalid(problems);
	const refuse = (wrongs: readonly WrongKey[]): FanoutError => {
		for (const { table, key, ...wrong } of wrongs) reading.report(table ?? tableOf(reading, key))(key, wrong);
		return configInvalid(problems.splice(0));
	};
	return { ...plan, reading, refuse };
}
