/**
 * A document, key by key: what is right becomes values, what is wrong becomes a problem at its place, and nothing
 * stops at the first. Variables lie over the file; a problem of theirs names the variable.
 */
import type { RoutingRule } from "../../route/options.ts";
import { type ConditionProblem, readCondition } from "./conditions.ts";
import { infoOf } from "./field.ts";
import type { Override } from "./overrides.ts";
import { nearest, type Problem, shown } from "./problems.ts";
import { GENERAL, TABLE_NAMES, TABLES, type TableName } from "./schema.ts";
import type { Report, Shape, Values } from "./section.ts";
import { TRANSPORT_NAMES } from "./sections/routing.ts";

export type Tables = { readonly [N in TableName]?: Values<(typeof TABLES)[N]> };

export interface Reading {
	readonly general: Values<typeof GENERAL>;
	/** Tables that the file or a variable has. */
	readonly tables: Tables;
	readonly rules: readonly RoutingRule[];
	/** Reports at a table's key, wherever that came from. */
	report(table: TableName | undefined): Report;
	/** Nothing of a table was wrong so far. */
	isSound(table: TableName): boolean;
	/** Reports at one rule. */
	reportRule(index: number, problem: Pick<Problem, "message" | "found" | "allowed" | "nearest">): void;
}

export interface Document {
	/** For errors. */
	readonly file: string;
	/** Undefined: variables only. */
	readonly data: unknown;
	readonly lines: ReadonlyMap<string, number>;
	readonly overrides: readonly Override[];
}

const ROOT = "notification";
const RULES = [ROOT, "routing", "rules"];
const RULE_KEYS = ["condition", "targets", "continue_on_match"] as const;
const isTable = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
const dotted = (path: readonly (string | number)[]) => path.join(".");

export function readDocument(document: Document, problems: Problem[]): Reading {
	const { file, lines, overrides } = document;
	const told = (path: readonly (string | number)[], problem: Omit<Problem, "file" | "line" | "key">) => {
		let at: number | undefined;
		for (let length = path.length; at === undefined && length > 0; length -= 1)
			at = lines.get(dotted(path.slice(0, length)));
		problems.push({ file, ...(at !== undefined && { line: at }), key: dotted(path), ...problem });
	};
	const unknown = (path: readonly string[], known: readonly string[]) =>
		told(path, {
			message: "is not a known key",
			allowed: known.join(", "),
			nearest: nearest(path.at(-1) ?? "", known),
		});
	const variableOf = (table: TableName | undefined, key: string) =>
		overrides.find(({ variable }) => variable.table === table && variable.key === key)?.variable.name;

	function place(
		table: TableName | undefined,
		key: string | undefined,
		problem: Omit<Problem, "file" | "line" | "key">,
	) {
		const variable = key === undefined ? undefined : variableOf(table, key);
		if (variable !== undefined) problems.push({ file: "environment", key: variable, ...problem });
		else told([ROOT, ...(table === undefined ? [] : [table]), ...(key === undefined ? [] : [key])], problem);
	}

	function checkValue(table: TableName | undefined, key: string, shape: Shape, value: unknown): unknown {
		const type = shape[key];
		const info = type && infoOf(type);
		if (type === undefined || info === undefined) return undefined;
		const isVariable = variableOf(table, key) !== undefined;
		if (info.secret === true) {
			if (isVariable || type.safeParse(value).success) return value;
			place(table, key, { message: "is a secret, and not written into a file", allowed: info.allowed });
			return undefined;
		}
		const addresses = info.isAddress === true ? [value].flat() : [];
		if (!isVariable && addresses.some((address) => typeof address === "string" && address.includes("@"))) {
			place(table, key, { message: "holds a login, which is not written into a file", allowed: info.allowed });
			return undefined;
		}
		const result = type.safeParse(value);
		if (result.success) return result.data;
		place(table, key, { message: "is not allowed", found: shown(value), allowed: info.allowed });
		return undefined;
	}

	function checkTable(
		table: TableName | undefined,
		shape: Shape,
		given: Record<string, unknown>,
	): Record<string, unknown> {
		const values: Record<string, unknown> = {};
		const all = { ...given };
		for (const { variable, value } of overrides) if (variable.table === table) all[variable.key] = value;
		for (const [key, value] of Object.entries(all)) {
			if (table === undefined && (TABLE_NAMES as readonly string[]).includes(key)) continue;
			if (!Object.hasOwn(shape, key)) {
				const known = [...Object.keys(shape), ...(table === undefined ? TABLE_NAMES : [])];
				unknown([ROOT, ...(table === undefined ? [] : [table]), key], known);
				continue;
			}
			if (table === "routing" && key === "rules") continue;
			const checked = checkValue(table, key, shape, value);
			if (checked !== undefined) values[key] = checked;
		}
		return values;
	}

	/** In the file, or in the variable that lies over it. */
	function tellOfRules({ path, ...problem }: ConditionProblem): void {
		const variable = variableOf("routing", "rules");
		if (variable === undefined) told(path, problem);
		else problems.push({ file: "environment", key: dotted([variable, ...path.slice(RULES.length)]), ...problem });
	}

	function checkRules(given: unknown): RoutingRule[] {
		if (given === undefined) return [];
		if (!Array.isArray(given) || given.length > 1_000) {
			const { allowed = "" } = infoOf(TABLES.routing.rules) ?? {};
			const isText = variableOf("routing", "rules") !== undefined && typeof given === "string";
			const message = isText ? "is not JSON" : "is not allowed";
			tellOfRules({ path: RULES, message, found: shown(given), allowed });
			return [];
		}
		return given.map((rule: unknown, index) => readRule(rule, [...RULES, index], tellOfRules));
	}

	const root = document.data === undefined ? {} : document.data;
	const record = isTable(root) ? root : {};
	for (const key of Object.keys(record)) if (key !== ROOT) unknown([key], [ROOT]);
	let notification: Record<string, unknown> = {};
	if (isTable(record[ROOT])) notification = record[ROOT];
	else if (document.data !== undefined) told([ROOT], { message: "must be a table", allowed: `[${ROOT}]` });

	const tables: Partial<Record<TableName, unknown>> = {};
	let rules: RoutingRule[] = [];
	for (const name of TABLE_NAMES) {
		const given = notification[name];
		const isGiven = given !== undefined || overrides.some(({ variable }) => variable.table === name);
		if (!isGiven) continue;
		if (given !== undefined && !isTable(given)) {
			told([ROOT, name], { message: "must be a table", found: shown(given), allowed: `[${ROOT}.${name}]` });
			continue;
		}
		tables[name] = checkTable(name, TABLES[name], given ?? {});
		if (name !== "routing") continue;
		const override = overrides.find(({ variable }) => variable.table === "routing" && variable.key === "rules");
		rules = checkRules(override === undefined ? given?.rules : override.value);
	}
	return {
		general: checkTable(undefined, GENERAL, notification) as Values<typeof GENERAL>,
		tables: tables as Tables,
		rules,
		report: (table) => (key, wrong) => {
			const found = wrong.found === undefined ? undefined : shown(wrong.found);
			place(table, key, { message: wrong.message, found, allowed: wrong.allowed });
		},
		isSound: (table) =>
			!problems.some(
				({ key }) => `${key}.`.startsWith(`${ROOT}.${table}.`) || key.startsWith(`FANOUT_${table.toUpperCase()}_`),
			),
		reportRule: (index, problem) => tellOfRules({ path: [...RULES, index, "targets"], ...problem }),
	};
}

function readRule(
	value: unknown,
	path: readonly (string | number)[],
	told: (problem: ConditionProblem) => void,
): RoutingRule {
	const nothing: RoutingRule = { condition: "always", targets: [] };
	if (!isTable(value)) {
		told({ path, message: "is no rule", found: shown(value), allowed: `{ ${RULE_KEYS.join(", ")} }` });
		return nothing;
	}
	for (const key of Object.keys(value)) {
		if ((RULE_KEYS as readonly string[]).includes(key)) continue;
		told({
			path: [...path, key],
			message: "is no key of a rule",
			allowed: RULE_KEYS.join(", "),
			nearest: nearest(key, RULE_KEYS),
		});
	}
	const { condition, targets, continue_on_match: goesOn } = value;
	const at = [...path, "condition"];
	const read = condition === undefined ? told({ path: at, message: "is missing" }) : readCondition(condition, at, told);
	if (!Array.isArray(targets) || targets.length === 0) {
		const allowed = `a list of ${TRANSPORT_NAMES.join(" | ")}`;
		told({ path: [...path, "targets"], message: "names no target", found: shown(targets), allowed });
	}
	const named = (Array.isArray(targets) ? targets : []) as unknown[];
	for (const [index, target] of named.entries()) {
		if ((TRANSPORT_NAMES as readonly unknown[]).includes(target)) continue;
		const near = typeof target === "string" ? nearest(target, TRANSPORT_NAMES) : undefined;
		const where = [...path, "targets", index];
		told({
			path: where,
			message: "is no target",
			found: shown(target),
			allowed: TRANSPORT_NAMES.join(" | "),
			nearest: near,
		});
	}
	if (goesOn !== undefined && typeof goesOn !== "boolean") {
		told({
			path: [...path, "continue_on_match"],
			message: "is not allowed",
			found: shown(goesOn),
			allowed: "true or false",
		});
	}
	return { condition: read ?? "always", targets: named as string[], continueOnMatch: goesOn === true };
}
