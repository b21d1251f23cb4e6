import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { Condition, RoutingRule } from "../../../lambda/layer/src/route/options.ts";
import { createRouter } from "../../../lambda/layer/src/route/router.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("router.property");

const NAMES = ["local", "nats", "redis", "aws"] as const;
const REACH = { local: "process", nats: "fleet", redis: "fleet", aws: "global" } as const;

const word = fc.stringMatching(/^[ab*]{1,5}$/);
const text = fc.stringMatching(/^[ab]{0,6}$/);
const condition = fc.letrec<{ any: Condition }>((tie) => ({
	any: fc.oneof(
		{ maxDepth: 4, withCrossShrink: true },
		fc.constant<Condition>("always"),
		fc.record({ type: word }),
		fc.record({ sessionPattern: word }),
		fc.record({ sessionCount: fc.nat(4) }),
		fc.record({ not: tie("any") }),
		fc.record({ all: fc.array(tie("any"), { minLength: 1, maxLength: 3 }) }),
		fc.record({ any: fc.array(tie("any"), { minLength: 1, maxLength: 3 }) }),
	),
})).any;
const rule: fc.Arbitrary<RoutingRule> = fc.record({
	condition,
	targets: fc.array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }),
	continueOnMatch: fc.option(fc.boolean(), { nil: undefined }),
});
const message = fc.record({
	kind: fc.constantFrom("session", "post", "topic", "all"),
	name: text,
	method: fc.option(text, { nil: undefined }),
	sessions: fc.nat(5),
});
type Message = {
	kind: "session" | "post" | "topic" | "all";
	name: string;
	method: string | undefined;
	sessions: number;
};

// The reference: what the sentences of the design say, without a thought for speed.

function glob(pattern: string, value: string | undefined): boolean {
	if (value === undefined) return false;
	return new RegExp(`^${pattern.split("*").join("[^]*")}$`).test(value);
}

function holds(one: Condition, { kind, name, method, sessions }: Message): boolean {
	if (one === "always") return true;
	if ("type" in one) return glob(one.type, method);
	if ("sessionPattern" in one)
		return glob(one.sessionPattern, kind === "session" || kind === "post" ? name : undefined);
	if ("sessionCount" in one) return sessions >= one.sessionCount;
	if ("not" in one) return !holds(one.not, { kind, name, method, sessions });
	if ("all" in one) return one.all.every((part) => holds(part, { kind, name, method, sessions }));
	return one.any.some((part) => holds(part, { kind, name, method, sessions }));
}

function reference(rules: readonly RoutingRule[], enabled: readonly string[], to: Message) {
	const taken: string[] = [];
	for (const { condition: when, targets, continueOnMatch } of rules) {
		if (!holds(when, to)) continue;
		for (const target of targets) if (enabled.includes(target) && !taken.includes(target)) taken.push(target);
		if (!continueOnMatch) break;
	}
	const all = taken.length > 0 ? taken : enabled;
	const wider = all.filter((name) => name !== "local");
	return { lanes: wider.length > 0 ? wider : all, backup: wider.length > 0 && all.includes("local") };
}

function channelOf({ kind, name }: Message) {
	if (kind === "all") return createChannel("all", "");
	if (kind === "post") return createChannel("post", `${name}/7`);
	return createChannel(kind, name === "" ? "x" : name);
}

test("[P4] a decision is what the rules say, one after the other", () => {
	fc.assert(
		fc.property(
			fc.array(rule, { maxLength: 6 }),
			fc.uniqueArray(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 }),
			fc.array(message, { minLength: 1, maxLength: 5 }),
			(rules, enabled, messages) => {
				const targets = enabled.map((name, priority) => ({ name, reach: REACH[name], priority }));
				const router = createRouter(
					{ rules },
					targets,
					NAMES.filter((name) => !enabled.includes(name)),
				);
				for (const given of messages) {
					const to = given.kind === "session" && given.name === "" ? { ...given, name: "x" } : given;
					const expected = reference(rules, enabled, to);
					expect(router.decide(channelOf(to), to.method, to.sessions)).toEqual(expected);
					expect(router.explain(channelOf(to), to.method, to.sessions)).toMatchObject(expected);
				}
			},
		),
		{ seed, numRuns: 500 },
	);
});

test("whatever stands in the rules, it is a located error or a router", () => {
	const junk = fc.oneof(
		fc.anything(),
		fc.record({ condition: fc.oneof(condition, fc.anything()), targets: fc.anything() }),
	);
	fc.assert(
		fc.property(fc.array(fc.oneof(rule, junk), { maxLength: 4 }), (rules) => {
			const targets = NAMES.map((name) => ({ name, reach: REACH[name] }));
			let router: ReturnType<typeof createRouter> | undefined;
			try {
				router = createRouter({ rules: rules as RoutingRule[] }, targets);
			} catch (error) {
				expect(error).toMatchObject({ code: "ConfigInvalid", message: expect.stringMatching(/^routing\.rules/) });
			}
			if (router !== undefined) {
				const { lanes } = router.decide(createChannel("session", "a"), "b", 0);
				expect(lanes.length).toBeGreaterThan(0);
			}
		}),
		{ seed, numRuns: 1_000 },
	);
});

test("unknown targets, empty lists and deep nests are refused where they stand", () => {
	const targets = [{ name: "local", reach: "process" as const }];
	const refused = (...rules: unknown[]) => {
		expect(() => createRouter({ rules: rules as RoutingRule[] }, targets)).toThrow(
			expect.objectContaining({ code: "ConfigInvalid", message: expect.stringContaining("routing.rules[") }),
		);
	};
	let deep: unknown = "always";
	for (let depth = 0; depth < 20; depth += 1) deep = { not: deep };
	refused({ condition: "always", targets: ["locl"] });
	refused({ condition: "always", targets: [] });
	refused({ condition: deep, targets: ["local"] });
	refused({ condition: { type: "a", sessionPattern: "b" }, targets: ["local"] });
	refused({ condition: { constructor: 1 }, targets: ["local"] });
});
