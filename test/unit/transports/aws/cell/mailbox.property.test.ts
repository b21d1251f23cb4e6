/** AWS's rules for message ids, which the emulator does not enforce: at most 128 ASCII characters. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createChannel } from "../../../../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../../../../lambda/layer/src/core/clock.ts";
import { createIds, deriveId } from "../../../../../lambda/layer/src/core/ids.ts";
import {
	chunkMail,
	groupOf,
	MAX_SEND_BYTES,
	MAX_SEND_COUNT,
	mailboxMessage,
} from "../../../../../lambda/layer/src/transports/aws/cell/mailbox.ts";

const RULE = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/;
const options = { seed: Number(process.env.FANOUT_SEED) || 20_261_124, numRuns: 500 };
const text = fc.string({ minLength: 1, maxLength: 60, unit: "grapheme" });

describe("mailbox messages", () => {
	it("have a group id of 43 characters that AWS takes, whatever the channel", () => {
		fc.assert(
			fc.property(text, text, text, (namespace, tenant, id) => {
				const { key } = createChannel("session", id, { namespace, tenant });
				expect(groupOf(key)).toMatch(RULE);
				expect(groupOf(key)).toHaveLength(43);
			}),
			options,
		);
		expect(groupOf(createChannel("all", "").key)).toMatch(RULE);
	});

	it("keep two channels apart, also those that differ by tenant or kind only", () => {
		const keys = [
			createChannel("session", "a").key,
			createChannel("principal", "a").key,
			createChannel("session", "a", { tenant: "b" }).key,
			createChannel("session", "a", { namespace: "b" }).key,
			createChannel("session", "A").key,
		];
		expect(new Set(keys.map(groupOf)).size).toBe(keys.length);
	});

	it("have a deduplication id that AWS takes: the envelope's own", () => {
		for (const id of [createIds(systemClock).next(), deriveId("a", "b")]) {
			const message = mailboxMessage("default/default/all:", id, "{}");
			expect(message.MessageDeduplicationId).toBe(id);
			expect(id).toMatch(RULE);
			expect(message.MessageAttributes).toEqual({
				channel: { DataType: "String", StringValue: "default/default/all:" },
			});
		}
	});
});

describe("batches to a queue", () => {
	it("hold at most ten messages and the bytes that SQS takes, all of them, in order", () => {
		fc.assert(
			fc.property(fc.array(fc.integer({ min: 1, max: 130_000 }), { maxLength: 40 }), (sizes) => {
				const items = sizes.map((size, index) => ({ size, index }));
				const chunks = chunkMail(items, ({ size }) => size);
				expect(chunks.flat()).toEqual(items);
				for (const chunk of chunks) {
					expect(chunk.length).toBeGreaterThan(0);
					expect(chunk.length).toBeLessThanOrEqual(MAX_SEND_COUNT);
					expect(chunk.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(MAX_SEND_BYTES);
				}
			}),
			options,
		);
	});
});
