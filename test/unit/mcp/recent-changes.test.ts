import fc from "fast-check";
import { expect, test } from "vitest";
import { keyOf } from "../../../lambda/layer/src/mcp/change.ts";
import { RecentChanges } from "../../../lambda/layer/src/mcp/recent-changes.ts";

const SEED = 20261125;

test("[P3] [P6] what changed is never taken for unchanged, however many keys there were; what did not is not told early", () => {
	const steps = fc.array(fc.record({ key: fc.integer({ min: 0, max: 12 }), ago: fc.integer({ min: 0, max: 3 }) }), {
		maxLength: 60,
	});
	fc.assert(
		fc.property(steps, fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 70 }), (changes, max, since) => {
			const recent = new RecentChanges(max);
			const last = new Map<string, number>();
			for (const [now, { key, ago }] of changes.entries()) {
				recent.add(String(key), now - ago);
				last.set(String(key), Math.max(last.get(String(key)) ?? Number.NEGATIVE_INFINITY, now - ago));
			}
			for (const [key, at] of last) if (at >= since) expect(recent.hasSince(key, since)).toBe(true);
			if (last.size < max) for (const [key, at] of last) expect(recent.hasSince(key, since)).toBe(at >= since);
			if (last.size < max) expect(recent.hasSince("never", since)).toBe(false);
		}),
		{ seed: SEED },
	);
});

test("something lost counts as a change of everything up to then", () => {
	const recent = new RecentChanges();
	recent.lost(10);
	expect(recent.hasSince("docs://a", 10)).toBe(true);
	expect(recent.hasSince("docs://a", 11)).toBe(false);
});

test("no resource, whatever its URI, has the key of a list or of another resource", () => {
	const kinds = ["tools_list_changed", "prompts_list_changed", "resources_list_changed"] as const;
	const lists = kinds.map((kind) => keyOf({ kind }));
	const uris = ["docs://a", ...lists, ...lists.map((key) => ` ${key}`), ...kinds, " ", "  ", ""];
	const keys = uris.map((uri) => keyOf({ kind: "resource_updated", uri }));
	expect(new Set([...lists, ...keys]).size).toBe(lists.length + new Set(uris).size);
});
