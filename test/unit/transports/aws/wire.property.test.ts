/** The frames of the WebSocket APIs: what is encoded is read back, limits hold, and nothing hostile passes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { type Envelope, encodeEnvelope } from "../../../../lambda/layer/src/core/envelope.ts";
import { isFanoutError } from "../../../../lambda/layer/src/core/errors.ts";
import { MAX_OFFSET, type Position } from "../../../../lambda/layer/src/core/position.ts";
import {
	type ClientFrame,
	chunkChannels,
	decodeClientFrame,
	decodeServerFrame,
	encodeClientFrame,
	encodeEntries,
	encodePage,
	encodeServerFrame,
	MAX_CLIENT_FRAME_BYTES,
	MAX_FRAME_CHANNELS,
	MAX_SERVER_FRAME_BYTES,
	refOf,
	type ServerFrame,
	toWireEntry,
	type WireEntry,
} from "../../../../lambda/layer/src/transports/aws/wire.ts";

const options = { seed: Number(process.env.FANOUT_SEED) || 20_261_124, numRuns: 200 };

const ref = fc.nat();
const position: fc.Arbitrary<Position> = fc.record({
	epoch: fc.stringMatching(/^[0-9a-f]{8}$/),
	offset: fc.integer({ min: 0, max: MAX_OFFSET }),
});
const channel = fc
	.tuple(fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }), fc.constantFrom("topic", "session"))
	.map(([id, kind]) => createChannel(kind as "topic", id));
const key = channel.map((one) => one.key);
const envelope: fc.Arbitrary<Envelope> = fc.record({
	v: fc.constant(1),
	id: fc.uuid(),
	channel,
	message: fc.record({
		jsonrpc: fc.constant("2.0" as const),
		method: fc.constantFrom("notifications/a", "notifications/b"),
		params: fc.dictionary(fc.string(), fc.string({ unit: "grapheme" })).map((fields) => ({ ...fields })),
	}),
	publishedAt: fc.nat(),
	origin: fc.string({ maxLength: 20 }),
	lanes: fc.constant(["aws"]),
});
const entry: fc.Arbitrary<WireEntry> = fc.record({
	position,
	prev: position,
	text: fc.option(envelope.map(encodeEnvelope), { nil: undefined }),
});

describe("client frames", () => {
	const frame: fc.Arbitrary<ClientFrame> = fc.oneof(
		fc.record({ action: fc.constantFrom("subscribe", "unsubscribe"), ref, channels: fc.array(key, { maxLength: 20 }) }),
		fc.record({ action: fc.constant("ping"), ref }),
		fc.record({
			action: fc.constant("read"),
			ref,
			channel: key,
			from: position,
			limit: fc.integer({ min: 1, max: 100 }),
		}),
		fc.record({ action: fc.constant("renew"), ref, ticket: fc.string() }),
	) as fc.Arbitrary<ClientFrame>;

	it("are read back as they were", () => {
		fc.assert(
			fc.property(frame, (one) => {
				expect(decodeClientFrame(encodeClientFrame(one))).toEqual(one);
				expect(refOf(encodeClientFrame(one))).toBe(one.ref);
			}),
			options,
		);
	});

	it("from anywhere are read or refused by a FanoutError, never by another", () => {
		const noise = fc.oneof(
			fc.string(),
			fc.json(),
			fc.tuple(frame, fc.nat(), fc.string()).map(([one, at, junk]) => {
				const text = encodeClientFrame(one);
				return text.slice(0, at % text.length) + junk + text.slice((at % text.length) + 1);
			}),
			fc
				.tuple(
					frame,
					fc.constantFrom("ref", "channels", "channel", "from", "limit", "ticket", "action"),
					fc.jsonValue(),
				)
				.map(([one, name, value]) => JSON.stringify({ ...JSON.parse(encodeClientFrame(one)), [name]: value })),
		);
		fc.assert(
			fc.property(noise, (text) => {
				try {
					const { ref: number } = decodeClientFrame(text);
					expect(Number.isSafeInteger(number)).toBe(true);
				} catch (error) {
					expect(isFanoutError(error)).toBe(true);
				}
				refOf(text);
			}),
			{ ...options, numRuns: 1000 },
		);
	});

	it("over the limit are refused with both sizes, before they are sent and when they come", () => {
		const channels = Array.from({ length: 30 }, (_, n) => `default/default/topic:${n}${"x".repeat(1100)}`);
		const frameOf = { action: "subscribe", ref: 1, channels } as const;
		const tooLarge = expect.objectContaining({
			code: "PayloadTooLarge",
			data: expect.objectContaining({ maxBytes: MAX_CLIENT_FRAME_BYTES }),
		});
		expect(() => encodeClientFrame(frameOf)).toThrow(tooLarge);
		expect(() => decodeClientFrame(JSON.stringify(frameOf))).toThrow(tooLarge);
	});

	it("of many channels are split so that each part fits, loses none and keeps the order", () => {
		const long = fc.string({ minLength: 1, maxLength: 500, unit: "grapheme-ascii" });
		fc.assert(
			fc.property(fc.array(long, { maxLength: 400 }), (idsOf) => {
				const keys = idsOf.map((id) => createChannel("topic", id.slice(0, 150)).key);
				const chunks = chunkChannels(keys);
				expect(chunks.flat()).toEqual(keys);
				for (const channels of chunks) {
					expect(channels.length).toBeGreaterThan(0);
					expect(channels.length).toBeLessThanOrEqual(MAX_FRAME_CHANNELS);
					const text = encodeClientFrame({ action: "unsubscribe", ref: Number.MAX_SAFE_INTEGER, channels });
					expect(decodeClientFrame(text)).toMatchObject({ channels });
				}
			}),
			{ ...options, numRuns: 60 },
		);
	});
});

describe("server frames", () => {
	const pair = fc.tuple(key, position);
	const frame = fc.oneof(
		fc.record({
			t: fc.constant("subscribed"),
			ref,
			ends: fc.array(pair, { maxLength: 9 }),
			refused: fc.array(fc.tuple(key, fc.constantFrom("InvalidChannel", "ScopeRequired")), { maxLength: 9 }),
		}),
		fc.record({ t: fc.constantFrom("unsubscribed", "pong"), ref }),
		fc.record({ t: fc.constant("renewed"), ref, expiresAt: fc.nat() }),
		fc.record({ t: fc.constant("moved"), channel: key }),
		fc.record({ t: fc.constant("end"), reason: fc.constantFrom("gap", "expired", "slow-consumer", "shutdown") }),
		fc.record({ t: fc.constant("error"), ref, code: fc.string(), message: fc.string() }),
		fc.record({ t: fc.constant("error"), code: fc.string(), message: fc.string() }),
	) as unknown as fc.Arbitrary<Exclude<ServerFrame, { t: "entries" | "page" }>>;

	it("are read back as they were", () => {
		fc.assert(
			fc.property(frame, (one) => {
				expect(decodeServerFrame(encodeServerFrame(one))).toEqual(one);
			}),
			options,
		);
	});

	it("of entries are read back whole and in order, none over the limit", () => {
		const sized = fc.tuple(entry, fc.integer({ min: 0, max: 60_000 })).map(([one, bytes]): WireEntry => {
			if (one.text === undefined) return one;
			const padded = JSON.parse(one.text) as { message: { params: Record<string, string> } };
			padded.message.params.padding = "p".repeat(bytes);
			return { ...one, text: JSON.stringify(padded) };
		});
		fc.assert(
			fc.property(key, fc.array(sized, { maxLength: 12 }), (channelKey, entries) => {
				const texts = encodeEntries(channelKey, entries);
				const read = texts.flatMap((text) => {
					expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_SERVER_FRAME_BYTES);
					const one = decodeServerFrame(text);
					if (one.t !== "entries") throw new Error(one.t);
					expect(one.channel).toBe(channelKey);
					expect(one.entries.length).toBeGreaterThan(0);
					return one.entries;
				});
				const spelled = read.map((one) => {
					const { position: p, prev, text } = toWireEntry(one);
					return { position: p, prev, text: text && JSON.parse(text) };
				});
				expect(spelled).toEqual(entries.map((one) => ({ ...one, text: one.text && JSON.parse(one.text) })));
			}),
			{ ...options, numRuns: 80 },
		);
	});

	it("of a page hold what fits from its start, and say more when something was left out", () => {
		const padded = fc.tuple(entry, fc.integer({ min: 0, max: 50_000 })).map(([one, bytes]): WireEntry => {
			const text = encodeEnvelope({
				v: 1,
				id: "00000000-0000-7000-8000-000000000000",
				channel: createChannel("all", ""),
				message: { jsonrpc: "2.0", method: "notifications/x", params: { padding: "p".repeat(bytes) } },
				publishedAt: 1,
				origin: "t",
				lanes: [],
			});
			return { ...one, text };
		});
		const verdict = fc.constantFrom("whole", "retention", "epoch");
		fc.assert(
			fc.property(
				ref,
				key,
				fc.array(padded, { maxLength: 8 }),
				fc.boolean(),
				verdict,
				(number, of, entries, more, v) => {
					const text = encodePage({ ref: number, channel: of, entries, more, verdict: v });
					expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_SERVER_FRAME_BYTES);
					const page = decodeServerFrame(text);
					if (page.t !== "page") throw new Error(page.t);
					expect(page).toMatchObject({ ref: number, channel: of, verdict: v });
					const kept = page.entries.map((one) => one.position);
					expect(kept).toEqual(entries.slice(0, kept.length).map((one) => one.position));
					expect(page.more).toBe(more || kept.length < entries.length);
					if (entries.length > 0) expect(kept.length).toBeGreaterThan(0);
				},
			),
			{ ...options, numRuns: 80 },
		);
	});

	it("with the largest envelope that is accepted fit API Gateway's message alone", () => {
		const of = createChannel("topic", "x".repeat(512), { namespace: "n".repeat(230), tenant: "t".repeat(240) });
		const large = {
			position: { epoch: "ffffffff", offset: MAX_OFFSET },
			prev: { epoch: "ffffffff", offset: MAX_OFFSET },
		};
		const text = `{"padding":"${"x".repeat(120 * 1024 - 14)}"}`;
		expect(Buffer.byteLength(text)).toBe(120 * 1024);
		const frames = encodeEntries(of.key, [
			{ ...large, text },
			{ ...large, text },
		]);
		expect(frames).toHaveLength(2);
		for (const one of frames) expect(Buffer.byteLength(one)).toBeLessThan(128 * 1024);
	});

	it("show an envelope of a version that cannot be read as a gap, and refuse a broken one", () => {
		const place = { position: { epoch: "0000000a", offset: 2 }, prev: { epoch: "0000000a", offset: 1 } };
		const [newer, broken] = ['{"v":99}', '{"v":1}'].map((text) =>
			encodeEntries("default/default/all:", [{ ...place, text }]),
		);
		expect(decodeServerFrame(newer?.[0] ?? "")).toMatchObject({ entries: [place] });
		expect(() => decodeServerFrame(broken?.[0] ?? "")).toThrow(expect.objectContaining({ code: "InvalidEnvelope" }));
	});

	it("from anywhere are read or refused by a FanoutError, never by another", () => {
		const noise = fc.oneof(
			fc.json(),
			fc
				.tuple(frame, fc.constantFrom("ref", "ends", "refused", "channel", "t", "reason", "code"), fc.jsonValue())
				.map(([one, name, value]) => JSON.stringify({ ...JSON.parse(encodeServerFrame(one)), [name]: value })),
			fc
				.tuple(key, fc.array(entry, { minLength: 1, maxLength: 2 }), fc.nat(), fc.string())
				.map(([of, entries, at, junk]) => {
					const text = encodeEntries(of, entries)[0] ?? "";
					return text.slice(0, at % text.length) + junk + text.slice((at % text.length) + 1);
				}),
		);
		fc.assert(
			fc.property(noise, (text) => {
				try {
					decodeServerFrame(text);
				} catch (error) {
					expect(isFanoutError(error)).toBe(true);
				}
			}),
			{ ...options, numRuns: 1000 },
		);
	});
});
