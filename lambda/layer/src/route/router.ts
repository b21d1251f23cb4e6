/**
 * The router: which lanes an envelope enters, decided before the first publish. Rules are asked in order; the first
 * that matches decides, unless it lets the next ones add to it. Where no rule names an enabled target, every enabled
 * one is taken by priority. A target that reaches this process only is a lane when alone; beside wider ones it is
 * their backup: this process's client streams get early copies while the first lane refuses.
 * A decision allocates nothing: unions of targets are kept.
 */
import type { Channel } from "../core/channel.ts";
import { MAX_ENVELOPE_LANES } from "../core/envelope.ts";
import type { Reach } from "../core/transport.ts";
import { compileCondition, invalid, MAX_CONDITIONS, type Matches } from "./condition.ts";
import { DEFAULT_PRIORITY, OTHER_PRIORITY, type RoutingOptions, type RoutingRule } from "./options.ts";

export interface RouteTarget {
	readonly name: string;
	readonly reach: Reach;
	readonly priority?: number | undefined;
}

export interface Decision {
	/** Names of transports, in order: the first is the home lane of every client stream. */
	readonly lanes: readonly string[];
	/** A rule or the default named a target of this process beside them. */
	readonly backup: boolean;
}

export interface Router {
	decide(channel: Channel, method: string | undefined, sessions: number): Decision;
	/** The same with the rules that matched, by their places in the list; none: the default. */
	explain(channel: Channel, method: string | undefined, sessions: number): Decision & { readonly rules: number[] };
}

/** Unions that are kept; rules that make more pay for making them again. */
const MAX_PLANS = 1_000;

interface Rule {
	readonly matches: Matches;
	readonly targets: readonly string[];
	readonly goesOn: boolean;
}

/** One union of targets, and what it becomes with each rule's. */
interface Plan {
	readonly names: readonly string[];
	readonly decision: Decision;
	readonly after: (Plan | undefined)[];
}

export function byPriority<T extends { readonly name: string; readonly priority?: number | undefined }>(
	targets: readonly T[],
): readonly T[] {
	const rank = ({ name, priority }: T) =>
		priority ?? (Object.hasOwn(DEFAULT_PRIORITY, name) ? (DEFAULT_PRIORITY[name] as number) : OTHER_PRIORITY);
	return targets.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * The targets that an envelope may enter: all but those of this process that only ever stand behind a wider one. Takes
 * rules that a router took.
 */
export function possibleLanes<T extends { readonly name: string; readonly reach: Reach }>(
	routing: RoutingOptions | undefined,
	targets: readonly T[],
): T[] {
	const wider = new Set(targets.filter(({ reach }) => reach !== "process").map(({ name }) => name));
	if (wider.size === 0) return [...targets];
	const rules = (routing?.rules ?? []).filter((rule) => !rule.targets.some((name) => wider.has(name)));
	const alone = new Set(rules.flatMap((rule) => rule.targets));
	return targets.filter(({ name }) => wider.has(name) || alone.has(name));
}

/** The session that a channel is part of. */
function sessionOf({ kind, id }: Channel): string | undefined {
	if (kind === "session") return id;
	return kind === "post" ? id.slice(0, Math.max(0, id.lastIndexOf("/"))) : undefined;
}

function checkRule(rule: RoutingRule, where: string, known: ReadonlySet<string>): void {
	if (typeof rule !== "object" || rule === null) throw invalid(where, "a rule is { condition, targets }");
	const { targets, continueOnMatch } = rule;
	if (!Array.isArray(targets) || targets.length === 0)
		throw invalid(`${where}.targets`, "names of transports are needed");
	for (const name of targets) {
		if (known.has(name)) continue;
		throw invalid(`${where}.targets`, `${JSON.stringify(name)} is none of ${[...known].join(", ")}`);
	}
	if (continueOnMatch !== undefined && typeof continueOnMatch !== "boolean") {
		throw invalid(`${where}.continueOnMatch`, "true or false");
	}
}

/**
 * Throws ConfigInvalid. `targets` are the enabled transports; `disabled` names those that are known and not enabled.
 */
export function createRouter(
	routing: RoutingOptions | undefined,
	targets: readonly RouteTarget[],
	disabled: readonly string[] = [],
): Router {
	const sorted = byPriority(targets);
	const reaches = new Map(sorted.map(({ name, reach }) => [name, reach]));
	if (sorted.length === 0) throw invalid("targets", "no transport is enabled");
	if (sorted.length > MAX_ENVELOPE_LANES || reaches.size < sorted.length) {
		const names = targets.map(({ name }) => name).join(", ");
		throw invalid("targets", `at most ${MAX_ENVELOPE_LANES} transports, each with a name of its own, not ${names}`);
	}
	const given = routing?.rules ?? [];
	if (!Array.isArray(given) || given.length > MAX_CONDITIONS) {
		throw invalid("routing.rules", `a list of at most ${MAX_CONDITIONS} rules`);
	}
	const known = new Set([...reaches.keys(), ...disabled]);
	const rules = given.map((rule: RoutingRule, index): Rule => {
		const where = `routing.rules[${index}]`;
		checkRule(rule, where, known);
		const goesOn = rule.continueOnMatch ?? false;
		const matches = compileCondition(`${where}.condition`, rule.condition);
		return { matches, targets: rule.targets.filter((name) => reaches.has(name)), goesOn };
	});

	const plans = new Map<string, Plan>();
	function planOf(names: readonly string[]): Plan {
		const key = names.join("\n");
		let plan = plans.get(key);
		if (plan === undefined) {
			const taken = names.length > 0 ? names : [...reaches.keys()];
			const wider = taken.filter((name) => reaches.get(name) !== "process");
			const lanes = wider.length > 0 ? wider : taken;
			const decision = { lanes, backup: lanes.length < taken.length };
			plan = { names, decision, after: new Array<Plan | undefined>(rules.length).fill(undefined) };
			if (plans.size < MAX_PLANS) plans.set(key, plan);
		}
		return plan;
	}
	const none = planOf([]);
	const join = (plan: Plan, index: number): Plan => {
		const joined = planOf([...new Set([...plan.names, ...(rules[index] as Rule).targets])]);
		if (plans.get(joined.names.join("\n")) === joined) plan.after[index] = joined;
		return joined;
	};

	function walk(channel: Channel, method: string | undefined, sessions: number, matched?: number[]): Decision {
		const session = sessionOf(channel);
		let plan = none;
		for (let index = 0; index < rules.length; index += 1) {
			const rule = rules[index] as Rule;
			if (!rule.matches(session, method, sessions)) continue;
			matched?.push(index);
			plan = plan.after[index] ?? join(plan, index);
			if (!rule.goesOn) break;
		}
		return plan.decision;
	}

	return {
		decide: (channel, method, sessions) => walk(channel, method, sessions),
		explain(channel, method, sessions) {
			const matched: number[] = [];
			return { ...walk(channel, method, sessions, matched), rules: matched };
		},
	};
}
