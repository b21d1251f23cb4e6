import { expect, test } from "vitest";
import { asTheyCome } from "../../../lambda/layer/src/core/as-they-come.ts";

test("what comes is given at once, each group in its order, and the first failure at the end", async () => {
	const [a, b, c, d] = Array.from({ length: 4 }, () => Promise.withResolvers<string>());
	const given: unknown[] = [];
	const all = (async () => {
		for await (const one of asTheyCome([
			[a?.promise, b?.promise] as Promise<string>[],
			[c?.promise as Promise<string>],
			[d?.promise as Promise<string>],
		]))
			given.push(one);
	})().catch((error: Error) => given.push(error.message));
	const settle = () => new Promise((resolve) => setImmediate(resolve));
	b?.resolve("b");
	d?.reject(new Error("d"));
	c?.resolve("c");
	await settle();
	expect(given).toEqual(["c"]);
	a?.resolve("a");
	await all;
	expect(given).toEqual(["c", "a", "b", "d"]);
});
