import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Clock } from "../../../lambda/layer/src/core/clock.ts";
import { createIds, deriveId } from "../../../lambda/layer/src/core/ids.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/ids");
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-([89ab])[0-9a-f]{3}-[0-9a-f]{12}$/;

function clockAt(now: () => number): Clock {
	return { now, monotonic: now, after: () => ({ cancel() {} }) };
}

describe("envelope ids", () => {
	test("are UUIDv7 with the RFC variant and the time in front", () => {
		const at = Date.UTC(2026, 10, 24);
		const id = createIds(clockAt(() => at)).next();
		expect(UUID.exec(id)?.[1]).toBe("7");
		expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(at);
	});

	test("[P2] rise and never repeat, whatever the clock does, and when a millisecond's counter overflows", () => {
		fc.assert(
			fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 30 }), fc.nat(6000), (jumps, burst) => {
				let now = 1_767_225_600_000;
				const ids = createIds(
					clockAt(() => now),
					createFill(seed),
				);
				const all: string[] = [];
				for (const jump of jumps) {
					now += jump;
					all.push(ids.next(), ids.next());
				}
				for (let n = 0; n < burst; n += 1) all.push(ids.next());
				for (const [index, id] of all.entries()) {
					if (!UUID.test(id)) expect(id).toMatch(UUID);
					if (index > 0 && !((all[index - 1] as string) < id)) expect([all[index - 1], "<", id]).toBe("rising");
				}
			}),
			{ seed, numRuns: 50 },
		);
	});

	test("do not collide between processes of one millisecond", () => {
		const at = () => 1_767_225_600_000;
		const all = new Set<string>();
		for (let instance = 0; instance < 200; instance += 1) {
			const ids = createIds(clockAt(at));
			for (let n = 0; n < 50; n += 1) all.add(ids.next());
		}
		expect(all.size).toBe(10_000);
	});

	test("take their randomness from the port: one seed, the same ids", () => {
		const make = (from: number) => {
			const ids = createIds(
				clockAt(() => 1),
				createFill(from),
			);
			return [ids.next(), ids.next(), ids.random32()];
		};
		expect(make(7)).toEqual(make(7));
		expect(make(7)).not.toEqual(make(8));
	});

	test("random numbers are unsigned 32-bit integers", () => {
		const ids = createIds(
			clockAt(() => 1),
			(buffer) => buffer.fill(0xff),
		);
		expect(ids.random32()).toBe(2 ** 32 - 1);
	});
});

describe("derived ids", () => {
	test("[P4] are the same for the same parts, in every process, and UUIDv8", () => {
		const id = deriveId("eventbridge", "7bf73129-1428-4cd3-a780-95db273d1602", "n/t/topic:a");
		expect(id).toBe(deriveId("eventbridge", "7bf73129-1428-4cd3-a780-95db273d1602", "n/t/topic:a"));
		expect(UUID.exec(id)?.[1]).toBe("8");
	});

	test("differ when a part differs, or the border between two parts", () => {
		const parts = fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 4 });
		fc.assert(
			fc.property(parts, parts, (a, b) => {
				expect(deriveId(...a) === deriveId(...b)).toBe(JSON.stringify(a) === JSON.stringify(b));
			}),
			{ seed },
		);
		expect(deriveId("ab", "c")).not.toBe(deriveId("a", "bc"));
	});
});
