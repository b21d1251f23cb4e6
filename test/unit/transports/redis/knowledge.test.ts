import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createKnowledge } from "../../../../lambda/layer/src/transports/redis/knowledge.ts";
import { announcedSeed } from "../../../support/random.ts";

describe("knowledge", () => {
	it("tells the newest offset of each epoch, and settles what an answer of another epoch was told", () => {
		const known = createKnowledge();
		known.saw("0000000a", 3);
		known.saw("0000000a", 2);
		expect(known.tell()).toBe("0000000a.3");
		known.answered("0000000a.3", "0000000b", 2);
		expect(known.tell()).toBe("0000000b.2");
	});

	it("goes on telling what it learnt after the question was asked [P3]", () => {
		const known = createKnowledge();
		known.saw("0000000a", 3);
		const told = known.tell();
		known.saw("0000000a", 9);
		known.answered(told, "0000000b", 2);
		expect(known.tell()).toBe("0000000a.9 0000000b.2");
		known.answered(known.tell(), "0000000b", 3);
		expect(known.tell()).toBe("0000000b.3");
	});

	it("is bounded, and never forgets the newest [P6]", () => {
		const seed = announcedSeed("redis knowledge");
		const epoch = fc.integer({ min: 1, max: 9 }).map((n) => `0000000${n}`);
		const saw = fc.tuple(epoch, fc.integer({ min: 0, max: 99 }));
		fc.assert(
			fc.property(fc.array(saw, { maxLength: 60 }), (all) => {
				const known = createKnowledge();
				const newest = new Map<string, number>();
				for (const [epochOfIt, offset] of all) {
					known.saw(epochOfIt, offset);
					newest.set(epochOfIt, Math.max(offset, newest.get(epochOfIt) ?? 0));
					const told = known.tell().split(" ");
					expect(told.length).toBeLessThanOrEqual(4);
				}
				const last = all.at(-1);
				if (last !== undefined)
					expect(
						known
							.tell()
							.split(" ")
							.some((text) => text.startsWith(last[0])),
					).toBe(true);
			}),
			{ seed },
		);
	});
});
