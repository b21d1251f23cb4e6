import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { stringify } from "smol-toml";
import { expect, test } from "vitest";
import { explain } from "../../../lambda/layer/src/config/explain.ts";
import { parseConfig } from "../../../lambda/layer/src/config/file/parse.ts";
import type { Problem } from "../../../lambda/layer/src/config/file/problems.ts";
import { variables } from "../../../lambda/layer/src/config/file/schema.ts";
import { type FanoutOptions, resolveOptions } from "../../../lambda/layer/src/config/options.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("configuration.property");
const MISSION = readFileSync(join(import.meta.dirname, "mission.toml"), "utf8");
const NAMES = ["local", "nats", "redis", "aws"] as const;
const VARIABLES = variables();

/** Mostly what a key takes, now and then what it does not. */
const mostly = <T>(good: readonly T[], ...bad: readonly T[]) =>
	fc.oneof({ arbitrary: fc.constantFrom(...good), weight: 40 }, { arbitrary: fc.constantFrom(...bad), weight: 1 });

const { condition } = fc.letrec((tie) => ({
	condition: fc.oneof(
		{ maxDepth: 3, withCrossShrink: true },
		fc.constant("always"),
		fc.record({ type: fc.constantFrom("notifications/progress", "notifications/*", "*") }),
		fc.record({ session_pattern: mostly(["lambda-*", "*", "web-1"], "") }),
		fc.record({ session_count: mostly([0, 3, 5_000], -1, 0.5) }),
		fc.record({ all: fc.array(tie("condition"), { minLength: 1, maxLength: 3 }) }),
		fc.record({ any: fc.array(tie("condition"), { minLength: 1, maxLength: 3 }) }),
		fc.record({ not: tie("condition") }),
	),
}));

const table = <T extends Record<string, fc.Arbitrary<unknown>>>(keys: T) =>
	fc.record({ enabled: fc.boolean(), priority: fc.nat(9), ...keys }, { requiredKeys: [] });
const duration = mostly(["250ms", "30s", "24h", "0.5h"], "0s", "1 hour", "1ms", "25d");
const queue = "https://sqs.us-east-1.amazonaws.com/123456789012/dev-fanout-mailbox.fifo";

const document = fc
	.record(
		{
			strategy: mostly(["composite"], "composit", ...NAMES),
			fallback_strategy: fc.constantFrom("local", "none"),
			timeout_ms: mostly([1, 5_000], 0, -9),
			local: table({ max_age: duration, max_events: mostly([1, 99], 0), max_bytes: mostly([1e9], 9) }),
			nats: table({
				servers: mostly([["nats://a:4222"], ["tls://b"]], []),
				subject_prefix: mostly(["mcp.notifications", "x"], "a..b"),
				cluster_id: mostly(["a"], "b"),
				max_msgs: mostly([99, 1_000_000], 0),
				user: fc.constant("me"),
				storage: fc.constantFrom("file", "memory"),
			}),
			redis: table({
				url: mostly(["redis://h:6379/1"], "http://h", "redis://h/x"),
				cluster_id: mostly(["a"], "b"),
				partitions: mostly([1, 64], 5_000),
			}),
			aws: table({
				region: mostly(["us-east-1"], "eu-west-1"),
				sqs_queue_url: mostly([queue], queue.replace("sqs.us-east-1", "sqs.eu-west-1")),
				sns_topic_arn: mostly(["arn:aws:sns:us-east-1:123456789012:t"], "arn:aws:sns:us-east-1:1:t.fifo"),
				use_fifo: mostly([true], false),
				deduplication_window_seconds: mostly([300], 60),
			}),
			breaker: fc.record({ jitter: mostly([0, 0.5, 1], 1.5), open: duration }, { requiredKeys: [] }),
			outbox: fc.record({ max_envelopes: mostly([0, 99], -1), max_age: duration }, { requiredKeys: [] }),
		},
		{ requiredKeys: [] },
	)
	.chain((base) => {
		const present = NAMES.filter((name) => base[name] !== undefined);
		const rule = fc.record(
			{
				condition,
				targets: fc.array(mostly(present.length === 0 ? NAMES : present, ...NAMES), { minLength: 1, maxLength: 3 }),
				continue_on_match: fc.boolean(),
			},
			{ requiredKeys: ["condition", "targets"] },
		);
		return fc.array(rule, { maxLength: 4 }).map((rules) => ({ ...base, routing: { rules } }));
	});

const strange = fc.oneof(
	fc.string(),
	fc.integer(),
	fc.double(),
	fc.boolean(),
	fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(1e12) }),
	fc.array(fc.oneof(fc.string(), fc.constant("always"))),
	fc.array(fc.integer()),
	fc.dictionary(fc.string({ minLength: 1 }), fc.integer()),
);

/** Documents; documents with a strange value somewhere; the mission's text with letters changed; anything. */
const text = fc.oneof(
	{ arbitrary: document.map((notification) => stringify({ notification })), weight: 6 },
	{
		arbitrary: fc
			.tuple(document, fc.constantFrom(...VARIABLES), strange, fc.string())
			.map(([base, { table: name, key }, value, spelling]) => {
				const notification: Record<string, unknown> = { ...base };
				const inner = name === undefined ? notification : { ...(notification[name] as object | undefined) };
				(inner as Record<string, unknown>)[spelling.length > 8 ? spelling : key] = value;
				if (name !== undefined) notification[name] = inner;
				return stringify({ notification });
			}),
		weight: 3,
	},
	{
		arbitrary: fc
			.array(fc.tuple(fc.nat(MISSION.length), fc.nat(3), fc.string({ maxLength: 4 })), { minLength: 1, maxLength: 3 })
			.map((edits) => edits.reduce((all, [at, cut, put]) => all.slice(0, at) + put + all.slice(at + cut), MISSION)),
		weight: 3,
	},
	{ arbitrary: fc.string({ unit: "binary" }), weight: 1 },
);

const variablesOf = fc.dictionary(
	fc.oneof(
		fc.constantFrom(...VARIABLES.map(({ name }) => name)),
		fc.constantFrom("FANOUT_NATS_X", "FANOUT_LOG_TABLE", "FANOUT_TOPIC_ARN"),
	),
	fc.oneof(fc.constantFrom("", "1", "true", "always", "24h", "[]", "[{}]", "nats://u:p@h:1"), fc.string()),
	{ maxKeys: 2 },
);
const environment = fc.oneof({ arbitrary: fc.constant({}), weight: 2 }, { arbitrary: variablesOf, weight: 1 });

function checkProblem({ file, line, key, message }: Problem, source: string): void {
	expect([file, key, message].every((part) => typeof part === "string" && part !== "")).toBe(true);
	expect(["fanout.toml", "environment"]).toContain(file);
	if (line !== undefined) expect(line).toBeLessThanOrEqual(source.split("\n").length);
	// What is missing altogether has no line; all else of a file has one.
	else if (file === "fanout.toml") expect(source).not.toMatch(/^\s*\[notification/m);
}

test("what a file may say of any one key is taken at the start, to its bounds", () => {
	const base = { FANOUT_NATS_SERVERS: "nats://h:1", FANOUT_REDIS_URL: "redis://h" };
	const texts = ["1ms", "99ms", "24d", "25d", "9999d", "0", "1", "1000000", "100000000", "1e99", "日".repeat(128)];
	const names = VARIABLES.flatMap(({ table: name, key, name: variable }) =>
		name === "aws" || key === "file" ? [] : [variable],
	);
	let taken = 0;
	for (const name of names) {
		for (const text of [...texts, String(Number.MAX_SAFE_INTEGER)]) {
			const set = { ...base, [name]: text };
			let options: FanoutOptions;
			try {
				({ options } = parseConfig({ file: "fanout.toml", text: undefined }, set));
			} catch (error) {
				expect(error).toMatchObject({ data: { problems: expect.arrayContaining([expect.anything()]) } });
				continue;
			}
			resolveOptions(options, set);
			taken += 1;
		}
	}
	expect(taken).toBeGreaterThan(100);
});

test("any configuration works or is refused with each problem at its place", { timeout: 120_000 }, () => {
	const counts = { working: 0, refused: 0 };
	fc.assert(
		fc.property(text, environment, fc.nat(9), (source, variablesSet, sessions) => {
			try {
				const { options } = parseConfig({ file: "fanout.toml", text: source }, variablesSet);
				const settings = resolveOptions(options, variablesSet);
				const { decide } = explain(options);
				const { lanes } = decide({ session: "lambda-7", method: "notifications/progress", sessions });
				const running = NAMES.filter((name) => settings[name] !== undefined);
				expect(lanes.length).toBeGreaterThan(0);
				expect(running).toEqual(expect.arrayContaining([...lanes]));
				counts.working += 1;
			} catch (error) {
				if (!isFanoutError(error, "ConfigInvalid")) throw error;
				const problems = error.data.problems as readonly Problem[] | undefined;
				expect(problems?.length ?? 0, error.message).toBeGreaterThan(0);
				for (const problem of problems ?? []) checkProblem(problem, source);
				counts.refused += 1;
			}
		}),
		{ seed, numRuns: 10_000 },
	);
	// Both sides are seen often, or the property says little.
	expect(counts.working).toBeGreaterThan(500);
	expect(counts.refused).toBeGreaterThan(500);
});
