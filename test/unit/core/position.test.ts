import fc from "fast-check";
import { expect, test } from "vitest";
import {
	BEGINNING,
	epochOf,
	formatPosition,
	isAtOrBefore,
	isPosition,
	MAX_OFFSET,
	NO_EPOCH,
	parsePosition,
	samePosition,
} from "../../../lambda/layer/src/core/position.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/position");
const position = fc.record({
	epoch: fc.nat(0xffffffff).map(epochOf),
	offset: fc.integer({ min: 0, max: MAX_OFFSET }),
});

test("an epoch is eight hex digits and never the one that means none", () => {
	expect(epochOf(0)).not.toBe(NO_EPOCH);
	expect(epochOf(0xabc)).toBe("00000abc");
	expect(epochOf(0xffffffff)).toBe("ffffffff");
	expect(epochOf(-1)).toBe("ffffffff");
});

test("a position is read back as it was written", () => {
	fc.assert(
		fc.property(position, (one) => {
			expect(isPosition(one)).toBe(true);
			expect(parsePosition(formatPosition(one))).toEqual(one);
		}),
		{ seed },
	);
	expect(formatPosition(BEGINNING)).toBe("00000000.0");
});

test.each([
	"",
	"0000000.1",
	"000000001.1",
	"0000000G.1",
	"0000000A.1",
	"00000001.01",
	"00000001.-1",
	"00000001.1.1",
	"00000001.",
	"00000001.281474976710656",
	"00000001.9999999999999999",
	" 00000001.1",
	"00000001.1\n",
	1,
	null,
])("%j is no position", (text) => {
	expect(() => parsePosition(text)).toThrow(expect.objectContaining({ code: "InvalidCursor" }));
});

test("the largest offset is a position", () => {
	expect(parsePosition("00000001.281474976710655").offset).toBe(MAX_OFFSET);
});

test("before and same hold within one epoch only", () => {
	const at = (epoch: string, offset: number) => ({ epoch, offset });
	expect(isAtOrBefore(at("00000001", 1), at("00000001", 1))).toBe(true);
	expect(isAtOrBefore(at("00000001", 2), at("00000001", 1))).toBe(false);
	expect(isAtOrBefore(at("00000001", 1), at("00000002", 9))).toBe(false);
	expect(samePosition(at("00000001", 1), at("00000002", 1))).toBe(false);
	expect(samePosition(at("00000001", 1), at("00000001", 1))).toBe(true);
});
