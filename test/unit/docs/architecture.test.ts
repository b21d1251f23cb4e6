import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const page = read("docs/architecture.md");
const ROOMS = ["", "core/", "deliver/", "stream/", "mcp/", "mcp/session/"].map((room) => `lambda/layer/src/${room}`);

test("every file and decision that the page names is there", () => {
	const files = new Set([...page.matchAll(/[\w/.-]+\.ts\b/g)].map(([name]) => name));
	expect(files.size).toBeGreaterThan(20);
	const isThere = (name: string) => ["", ...ROOMS].some((room) => existsSync(`${root}/${room}${name}`));
	expect([...files].filter((name) => !isThere(name))).toEqual([]);
	const decisions = readdirSync(`${root}/docs/decisions`);
	const named = [...page.matchAll(/`(?:docs\/decisions\/)?(\d{4})`/g)].map(([, number]) => number as string);
	expect(named.length).toBeGreaterThan(3);
	expect(named.filter((number) => !decisions.some((name) => name.startsWith(number)))).toEqual([]);
});

test("the states of its diagrams are the code's", () => {
	const lane = /get state\(\): ([^{]+) \{/.exec(read("lambda/layer/src/deliver/lane.ts"))?.[1] ?? "";
	const states = [...lane.matchAll(/"(\w+)"/g)].map(([, state]) => state);
	expect(states).toEqual(["opening", "live", "filling", "closed"]);
	const section = page.slice(page.indexOf("**A lane**"), page.indexOf("**A track**"));
	for (const state of states) expect(section).toMatch(new RegExp(`\\b${state}\\b`));
	const gate = [
		.../"[a-z-]+"/g[Symbol.matchAll](/GateState = ([^;]+)/.exec(read("lambda/layer/src/core/gate.ts"))?.[1] ?? ""),
	];
	expect(gate).toHaveLength(3);
	for (const [state] of gate) expect(page).toContain(` ${state.slice(1, -1)}`);
});

test("the limits that it names are limits of the code", () => {
	const source = [
		"deliver/engine.ts",
		"deliver/feed.ts",
		"deliver/lane-host.ts",
		"core/transport.ts",
		"publish/publisher.ts",
		"route/options.ts",
	]
		.map((path) => read(`lambda/layer/src/${path}`))
		.join("\n");
	const limits = new Set([...page.matchAll(/`(\w+Ms)`/g)].map(([, name]) => name as string));
	expect(limits.size).toBeGreaterThan(3);
	for (const name of limits) expect(source).toMatch(new RegExp(`\\b${name}\\b`));
});
