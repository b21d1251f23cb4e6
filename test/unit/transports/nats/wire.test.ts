import { expect, test } from "vitest";
import { encodeEnvelope, envelopeBytes } from "../../../../lambda/layer/src/core/envelope.ts";
import { toEntry } from "../../../../lambda/layer/src/transports/nats/wire.ts";
import { envelopeOf, topic } from "../../../support/nats-fleet.ts";

const entryOf = (text: string) => toEntry(topic("a"), "e0000001", 7, 3, Buffer.from(text));

test("[P2] an entry has the channel that is followed, its own size and both of its places", () => {
	const channel = topic("a");
	const text = encodeEnvelope(envelopeOf(channel, 5));
	const entry = toEntry(channel, "e0000001", 7, 3, Buffer.from(text));
	expect(entry.envelope?.channel).toBe(channel);
	expect(entry.envelope && envelopeBytes(entry.envelope)).toBe(text.length);
	expect([entry.position, entry.prev]).toEqual([
		{ epoch: "e0000001", offset: 7 },
		{ epoch: "e0000001", offset: 3 },
	]);
});

test("[P5] what is no envelope, or another channel's, is an entry without one", () => {
	const other = encodeEnvelope(envelopeOf(topic("b"), 1));
	for (const text of ["", "{", "[]", '{"v":1}', other]) {
		expect(entryOf(text)).toEqual({
			position: { epoch: "e0000001", offset: 7 },
			prev: { epoch: "e0000001", offset: 3 },
		});
	}
});
