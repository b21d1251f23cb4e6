import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import {
	decodeEnvelope,
	type Envelope,
	encodeEnvelope,
	envelopeBytes,
	MAX_ENVELOPE_LANES,
	READ_VERSIONS,
	readEnvelope,
	sealEnvelope,
	WRITTEN_VERSION,
} from "../../../lambda/layer/src/core/envelope.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { deriveId } from "../../../lambda/layer/src/core/ids.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/envelope");
const sample: Envelope = {
	v: WRITTEN_VERSION,
	id: "0198c0de-0000-7000-8000-000000000000",
	channel: createChannel("topic", "a"),
	message: { jsonrpc: "2.0", method: "notifications/x", params: { secret: "s3cr3t" } },
	publishedAt: 1_767_225_600_000,
	origin: "instance-1",
	lanes: ["aws"],
	trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};
const wire = (change: Record<string, unknown>) => ({ ...JSON.parse(encodeEnvelope(sample)), ...change });

describe("the codec", () => {
	test("reads back what it wrote", () => {
		const envelope = fc.record({
			v: fc.constant(WRITTEN_VERSION),
			id: fc.string().map((text) => deriveId(text)),
			channel: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }).map((id) => createChannel("session", id)),
			message: fc.record({
				jsonrpc: fc.constant("2.0" as const),
				method: fc.string({ minLength: 1, maxLength: 50 }),
				params: fc.dictionary(fc.string(), fc.jsonValue()),
			}),
			publishedAt: fc.nat(),
			origin: fc.string({ maxLength: 128 }),
			lanes: fc.array(fc.constantFrom("local", "aws", "nats"), { maxLength: MAX_ENVELOPE_LANES }),
		});
		fc.assert(
			fc.property(envelope, (one) => {
				const text = encodeEnvelope(one);
				const read = decodeEnvelope(text);
				// JSON has no -0: compare what JSON can say.
				expect(JSON.parse(encodeEnvelope(read))).toEqual(JSON.parse(text));
				expect(read.channel).toEqual(one.channel);
				expect(envelopeBytes(one)).toBe(Buffer.byteLength(text));
			}),
			{ seed },
		);
		expect(decodeEnvelope(encodeEnvelope(sample))).toEqual(sample);
	});

	test("[P6] a sealed envelope has the text of its fields and the size of its text, whatever was written before", () => {
		const odd = fc.oneof(
			fc.string({ unit: "binary" }),
			fc.constantFrom("\ufffe", "\ud800", "\u2028", '"\\\n', "é", "local"),
		);
		const lanes = fc.constantFrom<readonly string[]>(["local"], ["local"], ["nats", "lócal"], []);
		fc.assert(
			fc.property(odd, odd, lanes, fc.jsonValue(), (origin, trace, lanes, value) => {
				const { channel, ...fields } = { ...sample, origin, trace, lanes };
				const message = { jsonrpc: "2.0" as const, method: "notifications/x", params: { value } };
				const sealed = sealEnvelope({ ...fields, channel, message });
				const text = encodeEnvelope(sealed);
				expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify({ ...fields, channel: channel.key, message })));
				expect(envelopeBytes(sealed)).toBe(Buffer.byteLength(text));
			}),
			{ seed, numRuns: 500 },
		);
	});

	test("ignores fields that a later release may add", () => {
		expect(readEnvelope(wire({ priority: 7, hops: [1] }))).toEqual(sample);
	});

	test("writes a version that it reads", () => {
		expect(READ_VERSIONS).toContain(WRITTEN_VERSION);
	});
});

describe("hostile wires", () => {
	test("an unknown version has its own code, and says which are read", () => {
		for (const v of [0, 2, 99, 1.5, -1]) {
			expect(() => readEnvelope(wire({ v }))).toThrow(
				expect.objectContaining({ code: "UnknownEnvelopeVersion", data: { version: v, readVersions: READ_VERSIONS } }),
			);
		}
	});

	test("an unknown version is told before anything else in the envelope is judged", () => {
		expect(() => readEnvelope({ v: 2, everything: "else" })).toThrow(
			expect.objectContaining({ code: "UnknownEnvelopeVersion" }),
		);
	});

	test.each([
		["no version", { v: undefined }, "InvalidEnvelope"],
		["a version in text", { v: "1" }, "InvalidEnvelope"],
		["an id in capitals", { id: sample.id.toUpperCase() }, "InvalidEnvelope"],
		["an id that is none", { id: "x" }, "InvalidEnvelope"],
		["a time in text", { publishedAt: "now" }, "InvalidEnvelope"],
		["no time", { publishedAt: null }, "InvalidEnvelope"],
		["an origin over the bound", { origin: "x".repeat(129) }, "InvalidEnvelope"],
		["no lanes", { lanes: undefined }, "InvalidEnvelope"],
		["too many lanes", { lanes: Array(MAX_ENVELOPE_LANES + 1).fill("a") }, "InvalidEnvelope"],
		["lanes that are no text", { lanes: [1] }, "InvalidEnvelope"],
		["a trace that is none", { trace: "x" }, "InvalidEnvelope"],
		["a channel that is none", { channel: "nowhere" }, "InvalidChannel"],
		["a channel object", { channel: sample.channel }, "InvalidChannel"],
		["a message that is none", { message: { method: 1 } }, "InvalidMessage"],
	])("%s", (_what, change, code) => {
		expect(() => readEnvelope(wire(change))).toThrow(expect.objectContaining({ code }));
	});

	test.each(["", "{", "null", "[]", "1", '"x"', "\u0000", "{}"])("%j is no envelope", (text) => {
		expect(() => decodeEnvelope(text)).toThrow(expect.objectContaining({ code: "InvalidEnvelope" }));
	});

	test("[P10] whatever comes in, only a FanoutError comes out, without the content", () => {
		const key = fc.constantFrom(...Object.keys(sample));
		fc.assert(
			fc.property(key, fc.anything(), (name, value) => {
				try {
					readEnvelope(wire({ [name]: value }));
				} catch (error) {
					expect(isFanoutError(error)).toBe(true);
					expect(String(error)).not.toContain("s3cr3t");
				}
			}),
			{ seed, numRuns: 500 },
		);
	});
});

test("code points that SQS refuses raw are escaped, and read back the same", () => {
	const channel = createChannel("topic", "t");
	const message = {
		jsonrpc: "2.0" as const,
		method: "notifications/message",
		params: { text: "a\ufffeb\uffffc\ud800" },
	};
	const id = "01890000-0000-7000-8000-000000000000";
	const text = encodeEnvelope({ v: 1, id, channel, message, publishedAt: 1, origin: "o", lanes: ["aws"] });
	expect(text).not.toMatch(/[\ufffe\uffff]/);
	expect(decodeEnvelope(text).message).toEqual(message);
});
