import { expect, test } from "vitest";
import { streamOptions } from "../../../lambda/layer/src/stream/request.ts";

const keys = (...args: Parameters<typeof streamOptions>) => streamOptions(...args).channels.map(({ key }) => key);

test("what an application asks for becomes channels of its namespace and tenant", () => {
	const request = { session: "s/1", principal: "p", topics: ["a", "b"], tenant: "t" };
	expect(keys(request, "n", undefined)).toEqual([
		"n/t/session:s%2F1",
		"n/t/principal:p",
		"n/t/all:",
		"n/t/topic:a",
		"n/t/topic:b",
	]);
	expect(keys({}, "n", undefined)).toEqual(["n/default/all:"]);
});

test("a stream of nothing is refused", () => {
	expect(() => streamOptions({ all: false }, "n", undefined)).toThrow(
		expect.objectContaining({ code: "ScopeRequired" }),
	);
	expect(() => streamOptions({ session: "" }, "n", undefined)).toThrow(
		expect.objectContaining({ code: "InvalidChannel" }),
	);
});

test("the request's own cursor wins over the header's, and a repeated header is none", () => {
	expect(streamOptions({ lastEventId: "own" }, "n", "header").lastEventId).toBe("own");
	expect(streamOptions({}, "n", "header").lastEventId).toBe("header");
	expect(streamOptions({}, "n", ["a", "b"])).not.toHaveProperty("lastEventId");
	expect(streamOptions({ coalesce: true, sinceMs: 5 }, "n", undefined)).toMatchObject({ coalesce: true, sinceMs: 5 });
});
