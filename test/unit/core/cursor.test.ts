import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import {
	decodeCursor,
	emptySince,
	encodeLane,
	laneKey,
	laneTag,
	MAX_LANES,
	NO_LANES,
	placeCode,
} from "../../../lambda/layer/src/core/cursor.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { epochOf, MAX_OFFSET, NO_EPOCH } from "../../../lambda/layer/src/core/position.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/cursor");
const invalid = expect.objectContaining({ code: "InvalidCursor" });
const lane = fc.record({
	id: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme-ascii" }),
	place: fc.constantFrom("local/one", "aws/eu-west-1", "aws/us-east-1").map(placeCode),
	epoch: fc.nat(0xffffffff).map(epochOf),
	offset: fc.integer({ min: 0, max: MAX_OFFSET }),
});
const lanes = fc.uniqueArray(lane, { maxLength: MAX_LANES, selector: ({ id, place }) => `${id} ${place}` });

function encode(all: readonly { id: string; place: number; epoch: string; offset: number }[]): string {
	const lanes = all.map(({ id, place, epoch, offset }) =>
		encodeLane(laneTag(createChannel("topic", id)), place, { epoch, offset }),
	);
	return NO_LANES + lanes.join("");
}

describe("a cursor", () => {
	test("is read back lane by lane, at 24 characters a lane", () => {
		fc.assert(
			fc.property(lanes, (all) => {
				const text = encode(all);
				expect(text).toHaveLength(1 + 24 * all.length);
				expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
				const cursor = decodeCursor(text);
				expect(cursor.size).toBe(all.length);
				for (const { id, place, epoch, offset } of all) {
					expect(cursor.get(laneKey(laneTag(createChannel("topic", id)), place))).toEqual({ epoch, offset });
				}
			}),
			{ seed },
		);
	});

	test.each([
		["nothing", ""],
		["another version", `2${"A".repeat(24)}`],
		["a lane cut short", `1${"A".repeat(23)}`],
		["a lane too long", `1${"A".repeat(25)}`],
		["too many lanes", `1${"A".repeat(24 * (MAX_LANES + 1))}`],
		["another alphabet", `1${"A".repeat(23)}=`],
		["white space", `1${"A".repeat(24)}\n`],
		["a megabyte", "1".repeat(1 << 20)],
		["a number", 1],
		["null", null],
		["undefined", undefined],
		["an object with a length", { length: 1 }],
	])("is not %s", (_what, text) => {
		expect(() => decodeCursor(text)).toThrow(invalid);
	});

	test("[P5] fuzz: any text is a cursor that spells itself again, or an InvalidCursor", () => {
		const characters = fc.constantFrom(..."ABCXYZabcxyz0189-_=+/ \n\u0000é");
		const text = fc.oneof(
			fc.string(),
			fc.string({ unit: characters, maxLength: 300 }).map((tail) => `1${tail}`),
			lanes.map(encode),
		);
		fc.assert(
			fc.property(text, (input) => {
				try {
					const cursor = decodeCursor(input);
					const again = [...cursor].map(([key, position]) =>
						encodeLane(key.slice(0, 12), Number.parseInt(key.slice(12), 16), position),
					);
					for (const part of again) expect(input.includes(part)).toBe(true);
				} catch (error) {
					expect(isFanoutError(error, "InvalidCursor")).toBe(true);
				}
			}),
			{ seed, numRuns: 1000 },
		);
	});

	test("[P5] a cursor with one character changed never throws anything else, nor grows a lane", () => {
		fc.assert(
			fc.property(lanes, fc.nat(), fc.constantFrom(..."Az09_-.="), (all, at, character) => {
				const text = encode(all);
				const index = at % text.length;
				const changed = text.slice(0, index) + character + text.slice(index + 1);
				try {
					expect(decodeCursor(changed).size).toBeLessThanOrEqual(all.length);
				} catch (error) {
					expect(isFanoutError(error, "InvalidCursor")).toBe(true);
				}
			}),
			{ seed, numRuns: 500 },
		);
	});
});

describe("tags and places", () => {
	test("[P5] a tag differs by namespace, tenant, kind and id, and names none of them", () => {
		const tags = [
			createChannel("topic", "a"),
			createChannel("session", "a"),
			createChannel("topic", "b"),
			createChannel("topic", "a", { tenant: "t" }),
			createChannel("topic", "a", { namespace: "n" }),
			createChannel("topic", "a", { namespace: "t", tenant: "n" }),
		].map(laneTag);
		expect(new Set(tags).size).toBe(tags.length);
		for (const tag of tags) expect(tag).toMatch(/^[0-9a-f]{12}$/);
	});

	test("a place is two bytes of its name, the same in every process", () => {
		expect(placeCode("aws/eu-west-1")).toBe(placeCode("aws/eu-west-1"));
		expect(placeCode("aws/eu-west-1")).not.toBe(placeCode("aws/us-east-1"));
		expect(placeCode("local/x")).toBeLessThan(2 ** 16);
	});

	test("an empty lane is listed with the time, in whole seconds", () => {
		expect(emptySince(1_767_225_600_999)).toEqual({ epoch: NO_EPOCH, offset: 1_767_225_600 });
		expect(emptySince(-5)).toEqual({ epoch: NO_EPOCH, offset: 0 });
	});
});
