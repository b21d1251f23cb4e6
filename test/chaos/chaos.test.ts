/**
 * The short, fixed part of `npm run chaos`: a few seconds of chosen faults on each kind of broker, judged by the same
 * history checker; and proof that it can find something.
 */
import { describe, expect, it } from "vitest";
import { announcedSeed } from "../support/random.ts";
import { runChaos } from "./run.ts";
import { drawSchedule, FAULT_KINDS } from "./schedule.ts";

const seed = announcedSeed("chaos");
const quiet = () => {};

describe("chaos", () => {
	it("keeps every promise over three NATS servers: instances, links and leaders fail [P2] [P3] [P4] [P5] [P7]", async () => {
		const result = await runChaos({
			world: "nats-r3",
			kinds: ["kill-broker", "kill-instance", "mangle", "cut-clients", "redials", "next-version"],
			...{ seed, forMs: 6_500, say: quiet },
		});
		expect(result.findings.slice(0, 10)).toEqual([]);
		expect(result.counts.accepted).toBeGreaterThan(200);
		expect(result.faults.length).toBeGreaterThan(3);
		expect(result.resumes).toBeGreaterThan(20);
	}, 120_000);

	it("tells every stream when Valkey forgot its logs, and breaks nothing else [P2] [P3] [P4] [P5]", async () => {
		const result = await runChaos({
			world: "valkey-memory",
			kinds: ["kill-broker", "refuse", "mangle", "next-version"],
			...{ seed, forMs: 6_000, say: quiet },
		});
		expect(result.findings.slice(0, 10)).toEqual([]);
		expect(result.faults.some(({ kind }) => kind === "kill-broker")).toBe(true);
		expect(result.tells).toBeGreaterThan(0);
	}, 120_000);

	it("shows early copies while a lane is dead, and takes sessions from owners that went silent [P4] [P7] [P8]", async () => {
		const result = await runChaos({
			world: "two-lanes",
			kinds: ["lane-dead", "stale-owner", "cut-clients"],
			...{ seed, forMs: 6_000, say: quiet },
		});
		expect(result.findings.slice(0, 10)).toEqual([]);
		expect(result.stale).toEqual([]);
		expect(new Set(result.faults.map(({ kind }) => kind))).toEqual(
			new Set(["lane-dead", "stale-owner", "cut-clients"]),
		);
		expect(result.early).toBeGreaterThan(0);
		expect(result.owning.takeovers).toBeGreaterThan(0);
	}, 120_000);
	it("finds a planted bug: clients that forget their cursors lose messages, and nothing else is wrong", async () => {
		const result = await runChaos({
			world: "valkey-aof",
			kinds: ["cut-clients"],
			...{ seed, forMs: 2_000, forgetful: true, wholeWithinMs: 2_000, say: quiet },
		});
		expect(new Set(result.findings.map(({ kind }) => kind))).toEqual(new Set(["loss"]));
	}, 120_000);
});

describe("a schedule", () => {
	it("is the same for the same seed, another for another, and bounded by its time", () => {
		const draw = (from: number) => drawSchedule({ seed: from, forMs: 60_000, instances: 3 });
		expect(draw(seed)).toEqual(draw(seed));
		expect(draw(seed)).not.toEqual(draw(seed + 1));
		expect(draw(seed).every(({ atMs }) => atMs < 60_000)).toBe(true);
		expect(new Set(draw(seed).map(({ kind }) => kind))).toEqual(new Set(FAULT_KINDS));
	});
});
