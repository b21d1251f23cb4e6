import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import * as one from "../../../lambda/layer/src/core/errors.ts";

/** A second copy of the module, as when a layer's copy and a bundled copy meet in one process. */
async function anotherCopy(): Promise<typeof one> {
	const copy = "../../../lambda/layer/src/core/errors.ts?copy";
	return (await import(/* @vite-ignore */ copy)) as typeof one;
}

describe("the brand", () => {
	test("tells a FanoutError of another copy of the package", async () => {
		const other = await anotherCopy();
		const error = new other.FanoutError("Closed", "closed");
		expect(other.FanoutError).not.toBe(one.FanoutError);
		expect(error instanceof one.FanoutError).toBe(false);
		expect(one.isFanoutError(error)).toBe(true);
		expect(one.isFanoutError(error, "Closed")).toBe(true);
		expect(one.isFanoutError(error, "Aborted")).toBe(false);
		expect(one.asFanoutError(error, "Aborted", "wrapped")).toBe(error);
	});

	test("is on nothing else, and is not seen when an error is printed or copied", () => {
		for (const value of [undefined, null, "Closed", 7, {}, new Error("Closed"), { code: "Closed", retryable: true }]) {
			expect(one.isFanoutError(value)).toBe(false);
		}
		expect(Object.keys(new one.FanoutError("Closed", "x"))).not.toContain("Symbol(mcp-fanout.error)");
		expect(one.isFanoutError({ ...new one.FanoutError("Closed", "x") })).toBe(false);
	});
});

describe("causes", () => {
	test("are printed once each, however deep: a missing library took a page", () => {
		const wrap = (cause: unknown) =>
			new one.FanoutError("TransportUnavailable", "no start", { cause, causes: [cause] });
		const printed = inspect(wrap(wrap(wrap(new Error("no such module")))), { depth: 9 });
		expect(printed.match(/Error: no such module/g)).toHaveLength(1);
		const several = new one.FanoutError("AllBroadcastersFailed", "all", { causes: [new Error("1"), new Error("2")] });
		expect(inspect(several)).toMatch(/Error: 1[\s\S]*Error: 2/);
	});

	test("are kept: one, or all in their order", () => {
		const cause = new Error("why");
		const error = new one.FanoutError("TransportUnavailable", "down", { cause, retryable: true, data: { a: 1 } });
		expect(error).toMatchObject({ name: "FanoutError", cause, causes: [cause], retryable: true, data: { a: 1 } });
		const causes = [new Error("1"), new Error("2")];
		expect(new one.FanoutError("AllBroadcastersFailed", "all", { causes }).causes).toBe(causes);
		const bare = new one.FanoutError("Closed", "x");
		expect("cause" in bare).toBe(false);
		expect(bare).toMatchObject({ causes: [], data: {}, retryable: false });
	});

	test("whatever is thrown is wrapped with its cause and a message that says both", () => {
		const cause = new Error("ECONNREFUSED");
		expect(one.asFanoutError(cause, "TransportUnavailable", "cannot dial", true)).toMatchObject({
			code: "TransportUnavailable",
			message: "cannot dial: ECONNREFUSED",
			cause,
			retryable: true,
		});
		expect(one.asFanoutError("text", "Closed", "x").message).toBe("x: text");
		expect(one.asFanoutError(undefined, "Closed", "x").message).toBe("x: undefined");
	});

	test("in JSON it has its message, and its causes have theirs", () => {
		const causes = [new one.FanoutError("Closed", "1"), new one.FanoutError("Closed", "2")];
		const error = new one.FanoutError("AllBroadcastersFailed", "all", { causes });
		const said = JSON.parse(JSON.stringify({ failed: [{ lane: "nats", error }] }));
		const both = [expect.objectContaining({ message: "1" }), expect.objectContaining({ message: "2" })];
		expect(said.failed[0].error).toMatchObject({ name: "FanoutError", message: "all", causes: both });
	});
});
