/** What a configuration would do with a message, and what in it is allowed and probably not meant. Nothing is dialled. */
import { createChannel } from "../core/channel.ts";
import { compileGlob } from "../core/glob.ts";
import type { Reach } from "../core/transport.ts";
import { isAlways } from "../route/condition.ts";
import { type Condition, DEFAULT_FALLBACK, type RoutingRule } from "../route/options.ts";
import { byPriority, createRouter, type RouteTarget } from "../route/router.ts";
import { ENV } from "./env-names.ts";
import type { FanoutOptions } from "./options.ts";

const NAMES = ["local", "nats", "redis", "aws"] as const;
const REACH: Readonly<Record<(typeof NAMES)[number], Reach>> = {
	local: "process",
	nats: "fleet",
	redis: "fleet",
	aws: "global",
};

export interface Explanation {
	/** Enabled transports in order of priority. */
	readonly enabled: readonly string[];
	readonly disabled: readonly string[];
	readonly fallback: "local" | "none";
	readonly warnings: readonly string[];
	/** What becomes of one message: the rules that match, by number from 1, and the lanes. */
	decide(message: ExplainedMessage): ExplainedDecision;
}

export interface ExplainedMessage {
	/** Absent: a message to everyone. */
	readonly session?: string | undefined;
	readonly method: string;
	/** Sessions with open client streams in the process. */
	readonly sessions: number;
}

export interface ExplainedDecision {
	readonly rules: readonly number[];
	readonly lanes: readonly string[];
	readonly backup: boolean;
}

/** Whether every message that `later` means is meant by `earlier` too; false where that cannot be seen. */
function covers(earlier: Condition, later: Condition): boolean {
	if (earlier === "always" || isAlways(earlier) || JSON.stringify(earlier) === JSON.stringify(later)) return true;
	if ("any" in earlier) return earlier.any.some((part) => covers(part, later));
	if (later === "always") return false;
	if ("all" in later) return later.all.some((part) => covers(earlier, part));
	if ("any" in later) return later.any.every((part) => covers(earlier, part));
	// A glob that takes another's text, stars included, takes all that the other does.
	if ("type" in earlier && "type" in later) return compileGlob(earlier.type)(later.type);
	if ("sessionPattern" in earlier && "sessionPattern" in later) {
		return compileGlob(earlier.sessionPattern)(later.sessionPattern);
	}
	return "sessionCount" in earlier && "sessionCount" in later && earlier.sessionCount <= later.sessionCount;
}

function warningsOf(rules: readonly RoutingRule[], enabled: readonly string[]): string[] {
	return rules.flatMap((rule, index) => {
		const name = `rule ${index + 1}`;
		const skipped = rule.targets.filter((target) => !enabled.includes(target));
		const shadow = rules
			.slice(0, index)
			.findIndex((other) => other.continueOnMatch !== true && covers(other.condition, rule.condition));
		return [
			...(shadow < 0 ? [] : [`${name} is never reached: rule ${shadow + 1} decides all that it means`]),
			...(skipped.length === 0 ? [] : [`${name} skips ${skipped.join(", ")}: not enabled`]),
		];
	});
}

/** With what a fanout takes where no transport is named: the cell that the environment tells of, or this process. */
export function inForce(options: FanoutOptions, environment: NodeJS.ProcessEnv): FanoutOptions {
	if (NAMES.some((name) => options[name] !== undefined)) return options;
	return { ...options, ...((environment[ENV.topicArn] ?? "") === "" ? { local: {} } : { aws: {} }) };
}

export function explain(options: FanoutOptions): Explanation {
	const targets: RouteTarget[] = [];
	const disabled: string[] = [];
	for (const name of NAMES) {
		const one = options[name];
		if (one?.enabled === false) disabled.push(name);
		else if (one !== undefined) targets.push({ name, reach: REACH[name], priority: one.priority });
	}
	if (targets.length === 0) targets.push({ name: "local", reach: "process" });
	const router = createRouter(options.routing, targets, disabled);
	const enabled = byPriority(targets).map(({ name }) => name);
	return {
		enabled,
		disabled,
		fallback: options.fallbackStrategy ?? DEFAULT_FALLBACK,
		warnings: warningsOf(options.routing?.rules ?? [], enabled),
		decide({ session, method, sessions }) {
			const scope = { namespace: options.namespace };
			const channel =
				session === undefined ? createChannel("all", "", scope) : createChannel("session", session, scope);
			const { lanes, backup, rules } = router.explain(channel, method, sessions);
			return { lanes, backup, rules: rules.map((index) => index + 1) };
		},
	};
}
