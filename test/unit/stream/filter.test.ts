import fc from "fast-check";
import { expect, test } from "vitest";
import { globMatches } from "../../../lambda/layer/src/core/glob.ts";
import {
	compileFilter,
	type FilterOptions,
	MAX_FILTER_METHODS,
	MAX_FILTER_URIS,
} from "../../../lambda/layer/src/stream/filter.ts";
import { progress, updated } from "./support.ts";

const message = (method: string, params?: Record<string, unknown>) =>
	params === undefined ? { jsonrpc: "2.0" as const, method } : { jsonrpc: "2.0" as const, method, params };

test.each([
	["notifications/*", "notifications/resources/updated", true],
	["notifications/*", "notification", false],
	["*", "", true],
	["*/list_changed", "notifications/tools/list_changed", true],
	["a*b*c", "a-b-b-c", true],
	["a*b*c", "a-b-c-d", false],
	["", "", true],
	["", "a", false],
	["a?", "ab", false],
	["**", "x", true],
	["a.c", "abc", false],
])("%s on %s: %s", (pattern, text, expected) => {
	expect(globMatches(pattern, text)).toBe(expected);
});

test("globs agree with the same pattern as a regular expression", () => {
	const word = fc.string({ unit: fc.constantFrom("a", "b", "*", "/", "."), maxLength: 8 });
	fc.assert(
		fc.property(word, word, (pattern, text) => {
			const escaped = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
			expect(globMatches(pattern, text)).toBe(new RegExp(`^${escaped.join(".*")}$`, "s").test(text));
		}),
		{ seed: 5, numRuns: 2000 },
	);
});

test("a pattern made to explode does not: this test would not end", () => {
	expect(globMatches(`${"a*".repeat(120)}b`, "a".repeat(256))).toBe(false);
});

test("methods pass by exact name or glob, answers always", () => {
	const passes = compileFilter({ methods: ["notifications/progress", "notifications/*/list_changed"] });
	expect(passes?.(message("notifications/progress"))).toBe(true);
	expect(passes?.(message("notifications/tools/list_changed"))).toBe(true);
	expect(passes?.(message("notifications/message"))).toBe(false);
	expect(passes?.({ jsonrpc: "2.0", id: 1, result: {} })).toBe(true);
});

test("URIs match exactly and only where a resource was updated", () => {
	const passes = compileFilter({ uris: ["docs://a"] });
	expect(passes?.(updated("docs://a").message)).toBe(true);
	expect(passes?.(updated("docs://a/").message)).toBe(false);
	expect(passes?.(message("notifications/resources/updated", { uri: 7 }))).toBe(false);
	expect(passes?.(message("notifications/resources/updated"))).toBe(false);
	expect(passes?.(progress(1).message)).toBe(true);
});

test("empty lists let nothing of their kind pass, no lists everything", () => {
	expect(compileFilter({ methods: [] })?.(progress(1).message)).toBe(false);
	expect(compileFilter({ uris: [] })?.(updated("docs://a").message)).toBe(false);
	expect(compileFilter({})).toBeUndefined();
	expect(compileFilter(undefined)).toBeUndefined();
});

test.each<[string, unknown]>([
	["a string", "notifications/*"],
	["null", null],
	["methods no array", { methods: "x" }],
	["a method that is no string", { methods: [1] }],
	["an empty method", { methods: [""] }],
	["a long method", { methods: ["x".repeat(257)] }],
	["too many methods", { methods: Array.from({ length: MAX_FILTER_METHODS + 1 }, (_, n) => `m${n}`) }],
	["too many URIs", { uris: Array.from({ length: MAX_FILTER_URIS + 1 }, (_, n) => `u${n}`) }],
])("refuses %s", (_name, options) => {
	expect(() => compileFilter(options as FilterOptions)).toThrow(expect.objectContaining({ code: "InvalidFilter" }));
});
