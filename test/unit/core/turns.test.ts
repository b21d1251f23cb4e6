import { expect, test } from "vitest";
import { Turns } from "../../../lambda/layer/src/core/turns.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

test("[P6] who asks in one turn shares a round; who asks during a round gets the next one, begun after the question", async () => {
	const rounds: (readonly string[])[] = [];
	const gates: (() => void)[] = [];
	const turns = new Turns<string, number>(async (items) => {
		const number = rounds.push(items);
		await new Promise<void>((open) => gates.push(open));
		return number;
	});
	const first = [turns.ask(["a"]), turns.ask(["b"])];
	await undefined;
	const second = [turns.ask(["c"]), turns.ask(["d", "e"])];
	expect(rounds).toEqual([["a", "b"]]);
	gates.shift()?.();
	expect(await Promise.all(first)).toEqual([1, 1]);
	await undefined;
	expect(rounds).toEqual([
		["a", "b"],
		["c", "d", "e"],
	]);
	gates.shift()?.();
	expect(await Promise.all(second)).toEqual([2, 2]);
});

test("[P6] with a rest, what was shared is followed by another round after it; who asks alone waits for nothing", async () => {
	const clock = createFakeClock();
	const rounds: (readonly string[])[] = [];
	const turns = new Turns<string, number>(async (items) => rounds.push(items), { clock, ms: 20 });
	expect(await turns.ask(["a"])).toBe(1);
	expect(await turns.ask(["b"])).toBe(2);
	expect(await Promise.all([turns.ask(["c"]), turns.ask(["d"])])).toEqual([3, 3]);
	const later = ["e", "f", "g"].map((item) => turns.ask([item]));
	await clock.advance(19);
	expect(rounds).toHaveLength(3);
	await clock.advance(1);
	expect(await Promise.all(later)).toEqual([4, 4, 4]);
	await clock.advance(20);
	expect(await turns.ask(["h"])).toBe(5);
	expect(clock.waiting).toBe(0);
	expect(rounds.slice(2)).toEqual([["c", "d"], ["e", "f", "g"], ["h"]]);
});

test("a failed round fails its own askers only", async () => {
	let round = 0;
	const turns = new Turns<never, number>(async () => {
		round += 1;
		if (round === 1) throw new Error("no");
		return round;
	});
	const failing = turns.ask();
	await expect(failing).rejects.toThrow("no");
	expect(await turns.ask()).toBe(2);
});

test("who is answered finds them idle, unless somebody asked meanwhile", async () => {
	let failing = false;
	const turns = new Turns<never, number>(async () => {
		if (failing) throw new Error("no answer");
		return 1;
	});
	expect(turns.isIdle).toBe(true);
	const seen = turns.ask().then(() => turns.isIdle);
	expect(turns.isIdle).toBe(false);
	expect(await seen).toBe(true);
	const first = turns.ask().then(() => turns.ask());
	const other = turns.ask().then(() => turns.isIdle);
	expect([await other, await first, turns.isIdle]).toEqual([false, 1, true]);
	failing = true;
	expect(await turns.ask().catch(() => turns.isIdle)).toBe(true);
});
