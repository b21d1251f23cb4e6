import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { pause, systemClock } from "../../../lambda/layer/src/core/clock.ts";
import { withDeadline } from "../../../lambda/layer/src/core/deadline.ts";
import { onAbort } from "../../../lambda/layer/src/core/on-abort.ts";

test("[P6] thousands that wait on one signal are one listener; all of them hear, but for those that forgot", async () => {
	const stop = new AbortController();
	const heard: number[] = [];
	const forget = Array.from({ length: 1_000 }, (_, n) => onAbort(stop.signal, () => void heard.push(n)));
	const waits = Array.from({ length: 1_000 }, () => pause(systemClock, 60_000, stop.signal));
	const tasks = Array.from({ length: 1_000 }, () =>
		withDeadline(systemClock, 60_000, "a task", () => new Promise(() => {}), stop.signal).catch(({ code }) => code),
	);
	await undefined;
	expect(getEventListeners(stop.signal, "abort")).toHaveLength(1);
	for (const [n, each] of forget.entries()) if (n % 2 === 0) each();
	stop.abort();
	expect(heard).toEqual(Array.from({ length: 500 }, (_, n) => 2 * n + 1));
	await Promise.all(waits);
	expect(new Set(await Promise.all(tasks))).toEqual(new Set(["Aborted"]));
	expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
});

test("one that is forgotten by another, while all are told, is not told", () => {
	const stop = new AbortController();
	const heard: string[] = [];
	onAbort(stop.signal, () => {
		heard.push("one");
		forget();
	});
	const forget = onAbort(stop.signal, () => void heard.push("two"));
	stop.abort();
	expect(heard).toEqual(["one"]);
});
