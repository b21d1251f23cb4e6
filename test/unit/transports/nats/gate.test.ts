import { expect, test } from "vitest";
import { Gate } from "../../../../lambda/layer/src/transports/nats/gate.ts";

test("[P6] what waits while it is shut is bounded in count and bytes, and comes in order when it opens", () => {
	const gate = new Gate();
	const passed: number[] = [];
	const pass = (n: number, bytes: number) => gate.pass(bytes, () => void passed.push(n));
	pass(0, 100);
	gate.shut();
	for (let n = 1; n <= 300; n += 1) pass(n, 120_000);
	expect(passed).toEqual([0]);
	gate.open();
	const held = passed.length - 1;
	expect(held).toBeGreaterThan(50);
	expect(held * 120_000).toBeLessThanOrEqual(16 * 1024 * 1024);
	expect(passed).toEqual(Array.from({ length: held + 1 }, (_, n) => n));
	gate.shut();
	for (let n = 0; n < 20_000; n += 1) pass(n, 1);
	gate.open();
	expect(passed.length - 1 - held).toBe(10_000);
	pass(7, 120_000);
	expect(passed.at(-1)).toBe(7);
});
