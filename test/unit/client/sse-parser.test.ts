import fc from "fast-check";
import { expect, it } from "vitest";
import { createSseParser, MAX_SSE_EVENT_CHARS } from "../../../lambda/layer/src/client/sse-parser.ts";
import { heapUsed } from "../../support/garbage.ts";

const TEXT =
	'retry: 250\n\n: beat\n\nevent: cursor\nid: 1a\ndata: \n\nid: 1b\ndata: {"n":1}\ndata:{"m":2}\n\nevent\nid\ndata\n\nid: kept\n\ndata: lost';
const EVENTS = [
	{ event: "cursor", data: "", id: "1a" },
	{ event: "message", data: '{"n":1}\n{"m":2}', id: "1b" },
	{ event: "message", data: "", id: "" },
	{ event: "message", data: undefined, id: "kept" },
];

it("reads the same however the text is cut and whatever ends its lines", () => {
	fc.assert(
		fc.property(
			fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 40, maxLength: 80 }),
			fc.constantFrom("\n", "\r\n", "\r"),
			(sizes, newline) => {
				const parser = createSseParser(undefined);
				const text = TEXT.replaceAll("\n", newline);
				const events = [];
				let at = 0;
				for (const size of [...sizes, text.length]) {
					events.push(...parser.push(text.slice(at, at + size)));
					at += size;
				}
				// Before any id came, nothing is handed on for the frames that carry neither event, id nor data.
				expect(events).toEqual(EVENTS);
				expect(parser.retryMs).toBe(250);
			},
		),
		{ seed: Number(process.env.FANOUT_SEED) || 20_261_126, numRuns: 200 },
	);
});

/** Not a divisor of the bound: what is too long is seen in the middle of a chunk. */
const CHUNK = 60_001;
const NEXT = { event: "message", data: "2", id: "1b" };
it.each([
	["of one line", "x".repeat(3 * MAX_SSE_EVENT_CHARS)],
	["of lines without text", "\ndata".repeat(MAX_SSE_EVENT_CHARS)],
	["of a line that looks like others when it is cut", "\ndata: x id: 1z".repeat(MAX_SSE_EVENT_CHARS / 8)],
])("[P6] keeps the id alone of an event that is too long, and goes on: %s", (_, data) => {
	const parser = createSseParser(undefined);
	const text = `id: 1a\ndata: ${data}\n\nid: 1b\ndata: 2\n\n`;
	const events = [];
	for (let at = 0; at < text.length; at += CHUNK) events.push(...parser.push(text.slice(at, at + CHUNK)));
	expect(events).toEqual([{ event: "message", data: undefined, id: "1a", isTooLong: true }, NEXT]);
	expect(createSseParser(undefined).push(text)).toEqual(events);
});

it("[P6] loses nothing to a comment that is too long, nor takes the rest of an id for one", () => {
	const parser = createSseParser(undefined);
	const long = "x".repeat(MAX_SSE_EVENT_CHARS);
	expect(parser.push(`id: 1b\ndata: 2\n:${long}`)).toEqual([]);
	expect(parser.push(`${long}\n\n`)).toEqual([NEXT]);
	expect(parser.push(`id: ${long}`)).toEqual([]);
	expect(parser.push("id: 1z\n\n")).toEqual([{ event: "message", data: undefined, id: "1b", isTooLong: true }]);
});

it("[P6] keeps nothing of an event that never ends", () => {
	const parser = createSseParser(undefined);
	const before = heapUsed();
	for (let n = 0; n < 64; n += 1) expect(parser.push(`${n}`.padEnd(MAX_SSE_EVENT_CHARS, "x"))).toEqual([]);
	for (let n = 0; n < 64; n += 1) expect(parser.push("\ndata".repeat(MAX_SSE_EVENT_CHARS / 8))).toEqual([]);
	expect(heapUsed() - before).toBeLessThan(8 * MAX_SSE_EVENT_CHARS);
});
