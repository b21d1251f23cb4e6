/** Sealing logs of other regions while some of them hang, fail, or answer late. */
import { expect, test } from "vitest";
import { createFakeClock } from "../../../../../lambda/layer/src/testing/fake-clock.ts";
import { SEAL_TIMEOUT_MS, sealAll, type Taken } from "../../../../../lambda/layer/src/transports/aws/cell/seal.ts";
import type { AppendOptions, LogItem } from "../../../../../lambda/layer/src/transports/aws/log.ts";

const taken = (session: string, from: string): Taken => ({
	session,
	from,
	seal: { claim: 2, to: "here", start: { epoch: "00000001", offset: 3 } },
});

function bench(append: (region: string, options?: AppendOptions) => Promise<void>) {
	const clock = createFakeClock();
	const sealed: [string, string, LogItem | undefined][] = [];
	const said: unknown[] = [];
	const logIn = (region: string) => ({
		append: async (session: string, [item]: readonly LogItem[], options?: AppendOptions) => {
			await append(region, options);
			sealed.push([region, session, item]);
			return [];
		},
	});
	return {
		clock,
		sealed,
		said,
		ports: { clock, logIn, report: (what: string, facts: object) => void said.push([what, facts]) },
	};
}

test("[P7] regions that hang cost all sessions of a frame one deadline together, and those of others are sealed", async () => {
	const signals: (AbortSignal | undefined)[] = [];
	const { clock, sealed, said, ports } = bench((region, options) => {
		if (region === "well") return Promise.resolve();
		signals.push(options?.signal);
		return new Promise(() => {});
	});
	let isOver = false;
	const all = Array.from({ length: 40 }, (_, n) => taken(`s${n}`, n % 2 === 0 ? "gone" : "well"));
	const done = sealAll(ports, all).then(() => {
		isOver = true;
	});
	await clock.advance(SEAL_TIMEOUT_MS - 1);
	expect([sealed.length, isOver]).toEqual([20, false]);
	await clock.advance(1);
	await done;
	expect(signals.every((signal) => signal?.aborted)).toBe(true);
	expect(said).toEqual([["log was not sealed", { sessions: 40, error: "FanoutError" }]]);
	expect(clock.waiting).toBe(0);
});

test("one that fails leaves the others sealed, each by an id that a repetition has too", async () => {
	const failing = new Set(["ill"]);
	const { sealed, said, ports } = bench(async (region) => {
		if (failing.has(region)) throw Object.assign(new Error("no"), { name: "TimeoutError" });
	});
	const all = [taken("a", "ill"), taken("b", "well")];
	await sealAll(ports, all);
	expect(said).toEqual([["log was not sealed", { sessions: 1, error: "TimeoutError" }]]);
	failing.clear();
	await sealAll(ports, all);
	expect(sealed.map(([region, session]) => [region, session])).toEqual([
		["well", "b"],
		["ill", "a"],
		["well", "b"],
	]);
	expect(sealed[2]?.[2]).toEqual(sealed[0]?.[2]);
	await sealAll(ports, []);
	expect(sealed).toHaveLength(3);
});
