import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import { toAscii } from "../../../lambda/layer/src/core/ascii.ts";
import { sealEnvelope } from "../../../lambda/layer/src/core/envelope.ts";
import { jsonEncoding, messageJson, sseEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import { envelopeOf, progress } from "./support.ts";

function parse(text: string): EventSourceMessage[] {
	const events: EventSourceMessage[] = [];
	const parser = createParser({ onEvent: (event) => void events.push(event) });
	parser.feed(text);
	return events;
}

test("any JSON becomes ASCII that parses to the same value", () => {
	fc.assert(
		fc.property(fc.json({ stringUnit: "binary" }), (text) => {
			const value: unknown = JSON.parse(text);
			const ascii = toAscii(JSON.stringify(value));
			expect(Buffer.byteLength(ascii)).toBe(ascii.length);
			expect(JSON.parse(ascii)).toEqual(value);
		}),
		{ seed: 3, numRuns: 300 },
	);
});

test("text that is not ASCII, line separators and lone surrogates survive", () => {
	const text = "żółć 漢字 👋\u2028\u2029\ud800\u007f\n\r\0";
	const ascii = toAscii(JSON.stringify({ text }));
	expect(ascii).not.toMatch(/[^\x20-\x7f]/);
	expect(JSON.parse(ascii)).toEqual({ text });
});

function counting() {
	const seen = { reads: 0 };
	const params = {
		get n() {
			seen.reads += 1;
			return 1;
		},
	};
	return { seen, envelope: envelopeOf({ jsonrpc: "2.0", method: "notifications/x", params }) };
}

test("an envelope's JSON is made once for all streams that get it in a row", () => {
	const { seen, envelope } = counting();
	const first = messageJson(envelope);
	for (let stream = 0; stream < 10; stream += 1) expect(messageJson(envelope)).toBe(first);
	expect(seen.reads).toBe(1);
});

test("JSON that publishing has made already is used: what its caller does to params afterwards shows nowhere", () => {
	const params = { n: 1 };
	const sealed = sealEnvelope({ ...progress(1), message: { jsonrpc: "2.0", method: "notifications/message", params } });
	params.n = 2;
	expect(messageJson(sealed)).toBe('{"jsonrpc":"2.0","method":"notifications/message","params":{"n":1}}');
});

test("a parser of MCP clients takes the id from a cursor frame, and it is no message", () => {
	const [event] = parse(sseEncoding.cursor("1abc"));
	expect(event).toEqual({ event: "cursor", id: "1abc", data: "" });
	expect(sseEncoding.cursor("1abc")).toContain("\ndata: \n");
});

test("messages, early copies, marks and ends parse to what they say", () => {
	const json = messageJson(progress(7, "ü"));
	const text = [
		sseEncoding.message(json, "1a"),
		sseEncoding.message(json, undefined),
		sseEncoding.mark("gap", "1b"),
		sseEncoding.end("moved"),
	].join("");
	const [message, early, mark, end] = parse(text);
	expect(message).toMatchObject({ id: "1a", event: undefined });
	expect(JSON.parse(message?.data ?? "")).toMatchObject({ params: { n: 7, text: "ü" } });
	expect(early?.id).toBeUndefined();
	expect(early?.data).toBe(message?.data);
	expect(mark).toEqual({ event: "mark", id: "1b", data: '{"reason":"gap"}' });
	expect(end).toEqual({ event: "end", id: undefined, data: '{"reason":"moved"}' });
});

test("JSON frames say the same", () => {
	const json = messageJson(progress(7));
	expect(JSON.parse(jsonEncoding.message(json, "1a"))).toMatchObject({ cursor: "1a", message: { params: { n: 7 } } });
	expect(JSON.parse(jsonEncoding.message(json, undefined))).not.toHaveProperty("cursor");
	expect(JSON.parse(jsonEncoding.cursor("1a"))).toEqual({ cursor: "1a" });
	expect(JSON.parse(jsonEncoding.mark("epoch", "1a"))).toEqual({ mark: "epoch", cursor: "1a" });
	expect(JSON.parse(jsonEncoding.end("shutdown"))).toEqual({ end: "shutdown" });
});
