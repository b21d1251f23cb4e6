import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFanoutError } from "../../../lambda/layer/src/core/errors.ts";
import {
	MAX_METHOD_LENGTH,
	methodOf,
	parseMessage,
	parseNotification,
} from "../../../lambda/layer/src/core/message.ts";
import { announcedSeed } from "../../support/random.ts";

const seed = announcedSeed("core/message");

describe("notifications", () => {
	test("take a method and named params, and get their jsonrpc", () => {
		expect(parseNotification({ method: "notifications/x" })).toEqual({ jsonrpc: "2.0", method: "notifications/x" });
		expect(parseNotification({ jsonrpc: "2.0", method: "m", params: { a: 1 } })).toEqual({
			jsonrpc: "2.0",
			method: "m",
			params: { a: 1 },
		});
	});

	test("carry nothing else over: an unknown field is not passed on", () => {
		expect(parseNotification({ method: "m", extra: 1 })).toEqual({ jsonrpc: "2.0", method: "m" });
	});

	test.each([
		["nothing", undefined],
		["null", null],
		["a string", "m"],
		["an array", [{ method: "m" }]],
		["an id", { method: "m", id: 1 }],
		["an undefined id", { method: "m", id: undefined }],
		["another version", { jsonrpc: "1.0", method: "m" }],
		["no method", { params: {} }],
		["an empty method", { method: "" }],
		["a numeric method", { method: 1 }],
		["a method over the bound", { method: "m".repeat(MAX_METHOD_LENGTH + 1) }],
		["positional params", { method: "m", params: [1] }],
		["null params", { method: "m", params: null }],
		["text params", { method: "m", params: "a" }],
	])("refuse %s", (_what, input) => {
		expect(() => parseNotification(input)).toThrow(expect.objectContaining({ code: "InvalidMessage" }));
	});

	test("a method of the largest length is taken", () => {
		expect(parseNotification({ method: "m".repeat(MAX_METHOD_LENGTH) }).method).toHaveLength(MAX_METHOD_LENGTH);
	});
});

describe("any message", () => {
	test.each([
		{ method: "m" },
		{ id: 1, method: "m", params: {} },
		{ id: "a", method: "m" },
		{ id: 1, result: {} },
		{ id: null, error: { code: -32700, message: "parse error" } },
	])("%j is one", (input) => {
		expect(parseMessage(input)).toEqual({ jsonrpc: "2.0", ...input });
	});

	test.each([
		["a boolean id", { id: true, method: "m" }],
		["an object id", { id: {}, result: 1 }],
		["a request with a null id", { id: null, method: "m" }],
		["a response with both", { id: 1, result: 1, error: { code: 1, message: "" } }],
		["a response with neither", { id: 1 }],
		["another version", { jsonrpc: "3", id: 1, result: 1 }],
	])("%s is none", (_what, input) => {
		expect(() => parseMessage(input)).toThrow(expect.objectContaining({ code: "InvalidMessage" }));
	});

	test("only a FanoutError comes out, whatever goes in; what is read is read again the same", () => {
		fc.assert(
			fc.property(
				fc.oneof(
					fc.anything(),
					fc.object({ key: fc.constantFrom("id", "method", "params", "jsonrpc", "result", "error") }),
				),
				(input) => {
					try {
						const message = parseMessage(input);
						expect(message.jsonrpc).toBe("2.0");
						expect(parseMessage(message)).toEqual(message);
					} catch (error) {
						expect(isFanoutError(error, "InvalidMessage")).toBe(true);
					}
				},
			),
			{ seed },
		);
	});

	test("the method of a message, and none of a response", () => {
		expect(methodOf(parseMessage({ id: 1, method: "m" }))).toBe("m");
		expect(methodOf(parseMessage({ id: 1, result: 1 }))).toBeUndefined();
	});
});
