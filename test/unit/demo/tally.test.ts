import { describe, expect, it } from "vitest";
import { formatTable } from "../../demo/table.ts";
import { createTally, isClean, type Listener, type Note, type Tally } from "../../demo/tally.ts";

const LISTENERS: readonly Listener[] = (["mcp", "sse", "ws"] as const).map((kind) => ({
	id: kind,
	kind,
	region: "here",
	channels: kind === "mcp" ? ["all"] : ["all", "mine"],
}));
const [MCP, SSE, WS] = LISTENERS as readonly [Listener, Listener, Listener];
const toAll = (id: string): Note => ({ id, way: "Lambda", channel: "all", kinds: ["mcp", "sse", "ws"] });
const toMine = (id: string): Note => ({ id, way: "server", channel: "mine", kinds: ["sse", "ws"], publisher: "p" });

/** A sound round of two notes to all and two to one session, but for what `plant` does instead of `hear`. */
function round(hear: (tally: Tally, listener: Listener, id: string) => void): Tally {
	const tally = createTally();
	for (const listener of LISTENERS) tally.listener(listener);
	for (const note of [toAll("a"), toAll("b"), toMine("c"), toMine("d")]) tally.sent(note);
	for (const listener of LISTENERS) {
		for (const id of listener === MCP ? ["a", "b"] : ["a", "b", "c", "d"]) hear(tally, listener, id);
	}
	return tally;
}

const verdict = (tally: Tally) => isClean(tally.rows(), tally.oddities());
const row = (tally: Tally, path: string) => tally.rows().find((each) => each.path === path);

describe("the demo's counts", () => {
	it("are clean when everybody hears everything once, in order", () => {
		const tally = round((all, listener, id) => all.received(listener, id));
		expect(verdict(tally)).toBe(true);
		expect(tally.missing()).toBe(0);
		expect(tally.rows().map(({ path, sent, received }) => [path, sent, received])).toEqual([
			["Lambda → mcp", 2, 2],
			["Lambda → sse", 2, 2],
			["Lambda → ws", 2, 2],
			["server → sse", 2, 2],
			["server → ws", 2, 2],
		]);
		expect(formatTable(tally.rows()).split("\n")).toHaveLength(7);
	});

	it("show a loss in its row", () => {
		const tally = round((all, listener, id) => {
			if (listener !== SSE || id !== "d") all.received(listener, id);
		});
		expect(verdict(tally)).toBe(false);
		expect(row(tally, "server → sse")).toMatchObject({ sent: 2, received: 1, lost: 1 });
	});

	it("show a duplicate in its row", () => {
		const tally = round((all, listener, id) => {
			for (let n = 0; n < (listener === WS && id === "a" ? 2 : 1); n += 1) all.received(listener, id);
		});
		expect(verdict(tally)).toBe(false);
		expect(row(tally, "Lambda → ws")).toMatchObject({ received: 3, duplicates: 1, lost: 0 });
	});

	it("show what is out of order: of one publisher, and among the clients of one lane", () => {
		const swap: Record<string, string> = { a: "b", b: "a", c: "d", d: "c" };
		const tally = round((all, listener, id) => all.received(listener, listener === WS ? (swap[id] as string) : id));
		expect(verdict(tally)).toBe(false);
		expect(row(tally, "Lambda → ws")?.outOfOrder).toBe(1);
		expect(row(tally, "server → ws")?.outOfOrder).toBeGreaterThan(0);
	});

	it("are not clean for a gap that was told, a message of nobody, or no message at all", () => {
		const sound = () => round((all, listener, id) => all.received(listener, id));
		const told = sound();
		told.told(SSE, "gap");
		expect(verdict(told)).toBe(false);
		const invented = sound();
		invented.received(SSE, "never-sent");
		expect(verdict(invented)).toBe(false);
		expect(verdict(createTally())).toBe(false);
	});
});
