import { expect, test } from "vitest";
import { channelsOf, streamOptions } from "../../../lambda/layer/src/stream/request.ts";

const keys = (...args: Parameters<typeof channelsOf>) => channelsOf(...args).map(({ key }) => key);

test("what an application asks for becomes channels of its namespace and tenant", () => {
	const request = { session: "s/1", principal: "p", topics: ["a", "b"], tenant: "t" };
	expect(keys(request, "n")).toEqual([
		"n/t/session:s%2F1",
		"n/t/principal:p",
		"n/t/all:",
		"n/t/topic:a",
		"n/t/topic:b",
	]);
	expect(keys({}, "n")).toEqual(["n/default/all:"]);
});

test("a stream of nothing is refused", () => {
	expect(() => channelsOf({ all: false }, "n")).toThrow(expect.objectContaining({ code: "ScopeRequired" }));
	expect(() => channelsOf({ session: "" }, "n")).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
});

test("what types would have refused is refused: a misspelt name, or a text for a list", () => {
	const opens = (request: object) => streamOptions(request, "n").channels as () => unknown;
	const misspelt = expect.objectContaining({
		code: "ConfigInvalid",
		message: expect.stringMatching(/^sesion .* session/),
	});
	expect(opens({ sesion: "s1" })).toThrow(misspelt);
	expect(opens({ topics: "news" })).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
	expect(opens({ session: "s1", onStream() {}, retryMs: 5 })).not.toThrow();
});
