import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	CHANNEL_KINDS,
	createChannel,
	MAX_CHANNEL_PART_BYTES,
	parseChannel,
} from "../../../lambda/layer/src/core/channel.ts";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/channel");
const part = fc
	.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
	.filter((text) => encodeURIComponent(text).length <= MAX_CHANNEL_PART_BYTES);
const kind = fc.constantFrom(...CHANNEL_KINDS.filter((name) => name !== "all"));
const channel = fc.record({ namespace: part, tenant: part, kind, id: part });
const invalid = expect.objectContaining({ code: "InvalidChannel" });

describe("keys", () => {
	test("spell namespace, tenant, kind and id", () => {
		expect(createChannel("topic", "deploys").key).toBe("default/default/topic:deploys");
		expect(createChannel("all", "", { namespace: "n", tenant: "t" }).key).toBe("n/t/all:");
		expect(createChannel("post", "s/1", { tenant: "a:b" }).key).toBe("default/a%3Ab/post:s%2F1");
	});

	test("[P5] are read back as the same channel, and different channels never share one", () => {
		fc.assert(
			fc.property(channel, channel, (a, b) => {
				const one = createChannel(a.kind, a.id, a);
				const other = createChannel(b.kind, b.id, b);
				expect(parseChannel(one.key)).toEqual(one);
				const same = a.namespace === b.namespace && a.tenant === b.tenant && a.kind === b.kind && a.id === b.id;
				expect(one.key === other.key).toBe(same);
			}),
			{ seed, numRuns: 500 },
		);
	});

	test("[P5] a scope is judged anew whatever the scope before it was", () => {
		const mine = { namespace: "n", tenant: "mine" };
		const all = createChannel("all", "", mine);
		for (const tenant of ["", null as unknown as string]) {
			expect(() => createChannel("all", "", { namespace: "n", tenant })).toThrow(invalid);
			expect(() => createChannel("topic", "a", { namespace: "", tenant })).toThrow(invalid);
		}
		expect(createChannel("all", "", { ...mine, tenant: "yours" }).key).toBe("n/yours/all:");
		expect(createChannel("all", "", mine)).toEqual(all);
		expect(createChannel("topic", "a").key).toBe("default/default/topic:a");
	});

	test("[P5] who got the channel of a scope changes it for nobody else", () => {
		const scope = { namespace: "n", tenant: "shared" };
		expect(Reflect.set(createChannel("all", "", scope), "key", "n/other/all:")).toBe(false);
		expect(createChannel("all", "", scope).key).toBe("n/shared/all:");
	});

	test("[P5] no part can reach into another", () => {
		fc.assert(
			fc.property(part, (id) => {
				const { key } = createChannel("topic", id, { namespace: "n", tenant: "t" });
				expect(key.startsWith("n/t/topic:")).toBe(true);
				expect(key.slice("n/t/topic:".length)).not.toMatch(/[/:\s>#{}]/u);
				expect(key).toMatch(/^[\x21-\x7e]+$/);
			}),
			{ seed, numRuns: 500 },
		);
	});

	test("[P5] have one spelling: every other one is refused", () => {
		for (const key of [
			"n/t/topic:%61",
			"n/t/topic:a%2fb",
			"n/t/topic:a b",
			"n/t/topic:a/b",
			"n/t/topic:a:b",
			"%6e/t/topic:a",
			"n/t/TOPIC:a",
			"n/t/queue:a",
			"n/t/topic:",
			"n/t/all:x",
			"/t/topic:a",
			"n//topic:a",
			"n/topic:a",
			"n/t/topic:%",
			"n/t/topic:%ff",
			"n/t/topic:a\n",
			" n/t/topic:a",
			"",
			null,
			undefined,
			7,
			{},
			`n/t/topic:${"a".repeat(MAX_CHANNEL_PART_BYTES + 1)}`,
			"a".repeat(100_000),
		]) {
			expect(() => parseChannel(key), String(key).slice(0, 40)).toThrow(invalid);
		}
	});

	test("anything at all is a channel or an InvalidChannel", () => {
		const text = fc.oneof(
			fc.string(),
			fc.string({ unit: fc.constantFrom("a", "/", ":", "%", "2", "F", "topic", "all") }),
		);
		fc.assert(
			fc.property(text, (key) => {
				try {
					expect(parseChannel(key).key).toBe(key);
				} catch (error) {
					expect(isFanoutError(error, "InvalidChannel")).toBe(true);
				}
			}),
			{ seed, numRuns: 500 },
		);
	});
});

describe("parts", () => {
	test("are bounded by their encoded bytes, and the error names both figures", () => {
		expect(createChannel("topic", "a".repeat(MAX_CHANNEL_PART_BYTES)).id).toHaveLength(MAX_CHANNEL_PART_BYTES);
		expect(() => createChannel("topic", "é".repeat(100))).toThrow(
			expect.objectContaining({ code: "InvalidChannel", data: { bytes: 600, maxBytes: MAX_CHANNEL_PART_BYTES } }),
		);
	});

	test.each([
		["an empty id", () => createChannel("topic", "")],
		["an empty tenant", () => createChannel("topic", "a", { tenant: "" })],
		["an empty namespace", () => createChannel("topic", "a", { namespace: "" })],
		["an id of all", () => createChannel("all", "a")],
		["a lone surrogate", () => createChannel("topic", "\ud800")],
		["a number", () => createChannel("topic", 7 as unknown as string)],
		["an unknown kind", () => createChannel("queue" as "topic", "a")],
		["an inherited kind", () => createChannel("__proto__" as "topic", "a")],
	])("refuse %s", (_what, make) => {
		expect(make).toThrow(invalid);
	});
});

test("a key is bounded as a whole: three long parts are refused", () => {
	const long = "x".repeat(400);
	expect(() => createChannel("topic", long, { namespace: long, tenant: long })).toThrow(
		expect.objectContaining({ code: "InvalidChannel", data: expect.objectContaining({ maxBytes: 1_000 }) }),
	);
});
