import fc from "fast-check";
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { pause } from "../../../lambda/layer/src/core/clock.ts";
import type { Hold } from "../../../lambda/layer/src/sessions/hold.ts";
import { announcedSeed } from "../../support/random.ts";
import { LEASE_MS, type Node, World } from "./world.ts";

const seed = announcedSeed("owner.property");

const step = fc.record({
	node: fc.nat(2),
	session: fc.nat(1),
	act: fc.constantFrom(
		...([
			"claim",
			"claim",
			"wait",
			"contend",
			"contend",
			"update",
			"release",
			"release",
			"remove",
			"stale",
			"stale",
		] as const),
		...(["pause", "sleep", "resume", "resume", "cut", "heal", "crash", "retire", "jump"] as const),
	),
	ms: fc.constantFrom(0, 0, 25, 200, LEASE_MS / 2, LEASE_MS, 3 * LEASE_MS),
	trouble: fc.constantFrom(0, 0.2, 0.6, 0.9),
});

/** One of the writes that an owner makes, without asking whether it still is one. */
function write({ registry }: Node, hold: Hold, choice: number): Promise<unknown> {
	if (choice === 0) return registry.update(hold, { state: "stale" });
	return choice > LEASE_MS ? registry.remove(hold) : registry.release(hold);
}

async function replace(world: World, node: Node, slots: Node[], index: number): Promise<void> {
	slots[index] = await world.start(`${node.name}'`);
}

test("[P8] never do two owners act inside their leases at the same time, and never is a stale write accepted", async () => {
	let accepted = 0;
	let takeovers = 0;
	let stale = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.array(step, { minLength: 15, maxLength: 60 }),
			fc.boolean(),
			fc.nat(),
			async (steps, sleeps, run) => {
				const world = new World(run);
				const slots = [await world.start("a"), await world.start("b"), await world.start("c")];
				const work: Promise<unknown>[] = [];
				const holds: [Node, Hold][] = [];
				const remember = (node: Node) => {
					for (const { id } of world.sessions) {
						const held = node.owner.held(createChannel("session", id));
						if (held !== undefined && !holds.some(([, hold]) => hold === held)) holds.push([node, held]);
					}
				};
				/** The last that nodes held and do not hold now; what crashed sends no more. */
				const oldHolds = () =>
					holds.filter(([by, hold]) => !by.crashed && hold !== by.owner.held(hold.session)).slice(-6);
				const quietly = (promise: Promise<unknown> | undefined) => work.push(Promise.resolve(promise).catch(() => {}));
				for (const { node: index, session: at, act, ms, trouble } of steps) {
					world.trouble = trouble;
					const node = slots[index] as Node;
					const session = world.sessions[at] as (typeof world.sessions)[0];
					const hold = node.owner.held(session);
					if (act === "claim") quietly(node.owner.claim(session));
					if (act === "wait") quietly(node.owner.claim(session, { waitMs: 3 * LEASE_MS }));
					if (act === "contend") for (const one of slots) quietly(one.owner.claim(session, { waitMs: 2 * LEASE_MS }));
					if (act === "update") quietly(hold?.update({ state: { by: node.name, epoch: hold.epoch } }));
					// Past its own fence, as a process would that was paused between its look and its write.
					if (act === "stale") {
						for (const [by, old] of oldHolds()) {
							stale += 1;
							quietly(write(by, old, ms));
						}
					}
					if (act === "release") quietly(hold?.release());
					if (act === "remove") quietly(hold?.remove());
					if (act === "pause") node.clock.pause(false);
					if (act === "sleep") node.clock.pause(sleeps);
					if (act === "resume") for (const one of slots) one.clock.resume();
					if (act === "cut") node.cut = true;
					if (act === "heal") for (const one of slots) one.cut = false;
					if (act === "crash") {
						// What it sent may still arrive; nothing of it runs any more.
						node.crashed = true;
						node.clock.pause(false);
						await replace(world, node, slots, index);
					}
					if (act === "retire" && !node.clock.paused) {
						quietly(node.owner.retire());
						await replace(world, node, slots, index);
					}
					// Where machines sleep, wall time is what shows it: it may not be set back at the same time.
					if (act === "jump") node.clock.jump(sleeps ? ms : ms - LEASE_MS);
					world.look("after a step");
					await world.advance(ms);
					for (const one of slots) remember(one);
					expect(world.violations).toEqual([]);
				}

				// Healed, and with its rivals dead, one takes every session within a few leases.
				world.trouble = 0;
				for (const node of slots) {
					node.cut = false;
					node.clock.resume();
				}
				await world.advance(5 * LEASE_MS);
				const [last, ...rivals] = slots as [Node, Node, Node];
				for (const rival of rivals) rival.crashed = true;
				for (const rival of rivals) rival.clock.pause(false);
				const claims = Promise.all(
					world.sessions.map((session) => last.owner.claim(session, { waitMs: 5 * LEASE_MS })),
				);
				await world.settle(claims);
				for (const { record } of await claims) if (record.epoch > 1) takeovers += 1;
				await world.advance(LEASE_MS);
				for (const session of world.sessions) expect(last.owner.held(session)?.acting).toBe(true);
				expect(world.violations).toEqual([]);
				accepted += world.accepted;
			},
		),
		{ seed, numRuns: 300 },
	);
	// A property over nothing proves nothing.
	expect(accepted).toBeGreaterThan(1_000);
	expect(takeovers).toBeGreaterThan(100);
	expect(stale).toBeGreaterThan(50);
}, 120_000);

test("[P8] an owner that falls silent at any moment stops acting before another takes over, which happens", async () => {
	const silence = fc.constantFrom("pause", "sleep", "cut", "lossy" as const);
	await fc.assert(
		fc.asyncProperty(silence, fc.nat(2 * LEASE_MS), fc.nat(9), fc.nat(), async (how, after, trouble, run) => {
			const world = new World(run);
			const [a, b] = [await world.start("a"), await world.start("b")];
			const [session] = world.sessions as [(typeof world.sessions)[0]];
			await world.settle(a.owner.claim(session));
			expect(world.acting(session)).toEqual([a]);
			world.trouble = trouble / 10;
			// It asks all the time, so that its first look is as early and its last as prompt as can be.
			let taken = false;
			const contend = async () => {
				while (!taken) {
					await b.owner.claim(session, { waitMs: LEASE_MS / 2 }).then(
						() => {
							taken = true;
						},
						() => pause(b.clock, 10),
					);
				}
			};
			const contending = contend();
			await world.advance(after);
			if (how === "lossy") world.trouble = 1;
			else if (how === "cut") a.cut = true;
			else a.clock.pause(how === "sleep");
			await world.advance(2 * LEASE_MS);
			if (how === "lossy") a.cut = true;
			world.trouble = 0;
			await world.settle(contending);
			expect(world.violations).toEqual([]);
			a.cut = false;
			a.clock.resume();
			await world.advance(LEASE_MS);
			expect(world.acting(session)).toEqual([b]);
			expect(world.violations).toEqual([]);
		}),
		{ seed, numRuns: 200 },
	);
}, 120_000);
