import { beforeEach, expect, test } from "vitest";
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { DRAIN_SLACK_MS, drainSessions, MAX_RELEASES } from "../../../lambda/layer/src/sessions/drain.ts";
import { createMemoryStore, MemoryTable } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { createOwner, type Owner } from "../../../lambda/layer/src/sessions/owner.ts";
import { createRegistry } from "../../../lambda/layer/src/sessions/registry.ts";
import { paceOut } from "../../../lambda/layer/src/stream/drain.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";

const GRACE_MS = 5_000;
let clock: FakeClock;
let table: MemoryTable;
let writes: number;
let atOnce: number;
let most: number;

async function start(instance: string): Promise<Owner> {
	const store = createMemoryStore({ clock, table });
	const write: typeof store.write = async (...args) => {
		writes += 1;
		atOnce += 1;
		most = Math.max(most, atOnce);
		await new Promise<void>((resolve) => void clock.after(1, resolve));
		atOnce -= 1;
		return store.write(...args);
	};
	const ids = createIds(clock, createFill(instance.length));
	const registry = createRegistry({ store: { ...store, write }, namespace: "default", clock, ids });
	const owner = createOwner({ registry, instance, clock, random: () => 0.5 });
	const started = owner.start();
	await clock.advance(1);
	await started;
	return owner;
}

const sessionsOf = (count: number): Channel[] =>
	Array.from({ length: count }, (_, index) => createChannel("session", `s${index}`));

async function own(owner: Owner, sessions: readonly Channel[]): Promise<void> {
	const claims = Promise.all(sessions.map((session) => owner.claim(session)));
	// So many at once, a millisecond each.
	await clock.advance(sessions.length);
	await claims;
}

beforeEach(() => {
	clock = createFakeClock();
	table = new MemoryTable();
	writes = 0;
	atOnce = 0;
	most = 0;
});

test("[P8] a drained instance's sessions go over as their streams end, each once, and none has two owners", async () => {
	const [a, b] = [await start("a"), await start("bb")];
	const sessions = sessionsOf(300);
	await own(a, sessions);
	const moved: Channel[] = [];
	const claims: Promise<unknown>[] = [];
	const ids = createIds(clock, createFill(7));
	const drained = drainSessions({
		owner: a,
		clock,
		graceMs: GRACE_MS,
		endStreams: ({ graceMs }, ended) =>
			new Promise((resolve) => {
				paceOut(sessions, { spreadMs: graceMs / 2, clock, ids }, (session) => {
					ended(session);
					moved.push(session);
					claims.push(b.claim(session, { waitMs: 1_000 }));
					if (moved.length === sessions.length) resolve();
				});
			}),
	});
	for (let passed = 0; passed < GRACE_MS; passed += 50) {
		await clock.advance(50);
		for (const session of sessions) {
			expect(a.held(session)?.acting === true && b.held(session)?.acting === true).toBe(false);
		}
	}
	expect(await drained).toEqual({ released: 300, retired: 0 });
	await Promise.all(claims);
	expect(sessions.every((session) => b.held(session)?.epoch === 2 && b.held(session)?.acting)).toBe(true);
	const retired = b.retire();
	await clock.advance(1);
	await retired;
	expect(clock.waiting).toBe(0);
});

test("[P6] [P8] what still streams at the end is given back by one write, and releases never flood the store", async () => {
	const [a, b] = [await start("a"), await start("bb")];
	const sessions = sessionsOf(200);
	await own(a, sessions);
	writes = 0;
	most = 0;
	const early = sessions.slice(0, 100);
	const drained = drainSessions({
		owner: a,
		clock,
		graceMs: GRACE_MS,
		endStreams: async (_how, ended) => {
			for (const session of early) ended(session);
			for (const session of early) ended(session);
			await new Promise<void>((resolve) => void clock.after(1_000, resolve));
			// Asks and POST streams of the others still live: their owner still acts.
			expect(a.held(sessions[150] as Channel)?.acting).toBe(true);
		},
	});
	await clock.advance(2_000);
	expect(await drained).toEqual({ released: 100, retired: 100 });
	expect(writes).toBe(101);
	expect(most).toBeLessThanOrEqual(MAX_RELEASES);
	const claim = b.claim(sessions[150] as Channel);
	await clock.advance(10);
	expect((await claim).record.epoch).toBe(2);
	const retired = b.retire();
	await clock.advance(1);
	await retired;
	expect(clock.waiting).toBe(0);
});

test("[P8] streams that do not end, or fail to, keep no lease beyond the grace", async () => {
	for (const endStreams of [() => new Promise<void>(() => {}), () => Promise.reject(new Error("no"))]) {
		const [a, b] = [await start("a"), await start("bb")];
		const [session] = sessionsOf(1) as [Channel];
		await own(a, [session]);
		const errors: FanoutError[] = [];
		const onerror = (error: FanoutError) => void errors.push(error);
		const drained = drainSessions({ owner: a, clock, graceMs: GRACE_MS, endStreams, onerror });
		const refused = a.claim(createChannel("session", "new")).catch((error: FanoutError) => error.code);
		await clock.advance(GRACE_MS + DRAIN_SLACK_MS + 10);
		expect(await refused).toBe("Closed");
		expect(await drained).toEqual({ released: 0, retired: 1 });
		expect(errors).toHaveLength(1);
		const claim = b.claim(session);
		await clock.advance(10);
		expect((await claim).hold.acting).toBe(true);
		const retired = b.retire();
		await clock.advance(1);
		await retired;
		table = new MemoryTable();
	}
});
