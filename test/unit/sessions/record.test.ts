import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { decodeSession, decodeTerm, encodeSession, encodeTerm } from "../../../lambda/layer/src/sessions/record.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("record");
const record = {
	v: 1,
	session: createChannel("session", "é/s", { namespace: "n", tenant: "t" }),
	version: "v1",
	epoch: 3,
	claim: "c1",
	owner: { instance: "a", id: "t1", leaseMs: 1_000 },
	principal: "p",
	facts: { a: [1, null] },
	state: "s",
	createdAt: 1,
	touchedAt: 2,
	unknown: {},
};

test("a record is read as it was written, with and without an owner and a principal", () => {
	expect(decodeSession(encodeSession(record), "v1")).toEqual(record);
	const bare = { ...record, owner: undefined, principal: undefined };
	expect(decodeSession(encodeSession(bare), "v1")).toEqual(bare);
	const term = { instance: "a", id: "t1", leaseMs: 5, state: "fenced" as const };
	expect(decodeTerm(encodeTerm(term))).toEqual(term);
});

test("a field of the next release cannot take the place of one that is known", () => {
	const text = encodeSession({ ...record, unknown: { epoch: 99, later: true } });
	expect(JSON.parse(text)).toMatchObject({ epoch: 3, later: true });
});

test("whatever stands in the store, reading it gives a record or a FanoutError", () => {
	const known = Object.keys(JSON.parse(encodeSession(record)));
	const broken = fc.tuple(fc.subarray(known), fc.jsonValue()).map(([names, value]) => ({
		...JSON.parse(encodeSession(record)),
		...Object.fromEntries(names.map((n) => [n, value])),
	}));
	fc.assert(
		fc.property(
			fc.oneof(
				fc.string(),
				fc.json(),
				broken.map((raw) => JSON.stringify(raw)),
			),
			(text) => {
				for (const read of [() => decodeSession(text, "v"), () => decodeTerm(text)]) {
					try {
						read();
					} catch (error) {
						expect(isFanoutError(error)).toBe(true);
					}
				}
			},
		),
		{ seed, numRuns: 500 },
	);
});
