import fc from "fast-check";
import { expect, test } from "vitest";
import { CHANNEL_KINDS, createChannel } from "../../../../lambda/layer/src/core/channel.ts";
import { methodLine } from "../../../../lambda/layer/src/transports/nats/headers.ts";
import { createSubjects } from "../../../../lambda/layer/src/transports/nats/subjects.ts";

const subjects = createSubjects("fanout", 8);
const part = fc.string({ minLength: 1, maxLength: 40, unit: "binary" }).filter((text) => text.isWellFormed());
const channels = fc
	.record({ kind: fc.constantFrom(...CHANNEL_KINDS), id: part, namespace: part, tenant: part })
	.map(({ kind, id, ...scope }) => createChannel(kind, kind === "all" ? "" : id, scope));

test("[P5] whatever a channel is called, its subject has five plain tokens, and is in its partition's capture only", () => {
	fc.assert(
		fc.property(channels, (channel) => {
			const { log, live, partition } = subjects.of(channel);
			expect(log).toMatch(/^fanout\.(?:[A-Za-z0-9_-]{1,64}|=[A-Za-z0-9_-]{22})\.[0-7]\.[a-z]+\.[A-Za-z0-9_-]{22}$/);
			expect(log.split(".")[2]).toBe(String(partition));
			expect(live).toBe(log.replace(/^fanout/, "fanout-live"));
			expect(subjects.epoch(partition)).not.toBe(log);
		}),
		{ seed: 20261125 },
	);
});

test("[P5] two channels never share a subject, with a log or without", () => {
	fc.assert(
		fc.property(channels, channels, (one, two) => {
			expect(subjects.of(one).log === subjects.of(two).log).toBe(one.key === two.key);
			expect(subjects.bare(one) === subjects.bare(two)).toBe(one.key === two.key);
		}),
		{ seed: 20261125 },
	);
});

test("a channel's address is the same in every process, so it must never change: a change is another layout", () => {
	const channel = createChannel("session", "abc", { namespace: "shop", tenant: "acme" });
	expect(subjects.of(channel)).toEqual({
		partition: 3,
		idPrefix: "acQHekBw",
		log: "fanout.shop.3.session.acQHekBwFeBiF-EkzJjsrQ",
		live: "fanout-live.shop.3.session.acQHekBwFeBiF-EkzJjsrQ",
	});
});

test("[P6] a followed channel's address is kept until it is released, however many others are asked for", () => {
	const channel = createChannel("session", "followed");
	const others = () => {
		for (let n = 0; n < 20_000; n += 1) subjects.of(createChannel("session", `other-${n}`));
	};
	const held = subjects.hold(channel);
	others();
	expect(subjects.of(channel)).toBe(held);
	subjects.release(channel);
	others();
	expect(subjects.of(channel)).not.toBe(held);
	expect(subjects.of(channel)).toEqual(held);
});

test("a method in a header is one line of printable characters", () => {
	fc.assert(
		fc.property(fc.string({ unit: "binary", maxLength: 300 }), (method) => {
			expect(methodLine(method)).toMatch(/^Fanout-Method: [\x21-\x7e]{0,128}\r\n$/);
		}),
		{ seed: 20261125 },
	);
	expect(methodLine(undefined)).toBe("");
});
