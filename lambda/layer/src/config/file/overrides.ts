/**
 * Variables over the file: each key has one, `FANOUT_<TABLE>_<KEY>`. A variable that begins like a table's and is none
 * of its keys is told: a misspelt one must not be ignored. An empty one is not set.
 */
import { infoOf } from "./field.ts";
import { nearest, type Problem } from "./problems.ts";
import { TABLE_NAMES, type TableName, type Variable, variables } from "./schema.ts";

export interface Override {
	readonly variable: Variable;
	readonly value: unknown;
}

function parse({ kind }: { readonly kind: string }, text: string): unknown {
	switch (kind) {
		case "integer":
		case "number":
			return /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
		case "flag":
			return text === "true" ? true : text === "false" ? false : text;
		case "list":
			return text.split(",").map((part) => part.trim());
		case "json":
			try {
				return JSON.parse(text) as unknown;
			} catch {
				// The check says what is allowed instead.
				return text;
			}
		default:
			return text;
	}
}

export function readOverrides(environment: NodeJS.ProcessEnv, problems: Problem[]): Override[] {
	const known = new Map(variables().map((variable) => [variable.name, variable]));
	const names = [...known.keys()];
	const prefixes = TABLE_NAMES.map((name: TableName) => `FANOUT_${name.toUpperCase()}_`);
	const found: Override[] = [];
	for (const [name, text] of Object.entries(environment)) {
		if (text === undefined || text === "" || !name.startsWith("FANOUT_")) continue;
		const variable = known.get(name);
		const info = variable && infoOf(variable.type);
		if (variable !== undefined && info !== undefined) found.push({ variable, value: parse(info, text) });
		else if (prefixes.some((prefix) => name.startsWith(prefix))) {
			problems.push({ file: "environment", key: name, message: "is no key's variable", nearest: nearest(name, names) });
		}
	}
	return found;
}
