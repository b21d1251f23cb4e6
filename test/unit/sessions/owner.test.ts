import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Channel, createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { MAX_UPDATES } from "../../../lambda/layer/src/sessions/hold.ts";
import { createMemoryStore, MemoryTable } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { ACTING_PART, createOwner, type Owner } from "../../../lambda/layer/src/sessions/owner.ts";
import { createRegistry } from "../../../lambda/layer/src/sessions/registry.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { createFill } from "../../../lambda/layer/src/testing/seeded.ts";

const LEASE_MS = 10_000;
const RETENTION_MS = 60_000;
const session = createChannel("session", "s");

let clock: FakeClock;
let table: MemoryTable;
let lost: Channel[];
let errors: FanoutError[];
/** Answers of the store are late by this; undefined: none comes. */
let answersAfter: number | undefined;
/** Nothing is written, and nothing is answered. */
let isDeaf = false;
const owners: Owner[] = [];

function build(instance: string, extra: { maxHolds?: number } = {}): Owner {
	const store = createMemoryStore({ clock, table, retentionMs: RETENTION_MS });
	const late = async <T>(answer: Promise<T>): Promise<T> => {
		const value = await answer;
		if (answersAfter === undefined) await new Promise(() => {});
		const ms = answersAfter ?? 0;
		if (ms > 0) await new Promise<void>((resolve) => void clock.after(ms, resolve));
		return value;
	};
	const registry = createRegistry({
		store: { ...store, write: (...args) => (isDeaf ? new Promise(() => {}) : late(store.write(...args))) },
		namespace: "default",
		clock,
		ids: createIds(clock, createFill(owners.length + 1)),
	});
	const owner = createOwner({
		registry,
		instance,
		clock,
		random: () => 0.5,
		leaseMs: LEASE_MS,
		onlost: (sessions) => lost.push(...sessions),
		onerror: (error) => errors.push(error),
		...extra,
	});
	owners.push(owner);
	return owner;
}

async function started(instance: string, extra: { maxHolds?: number } = {}): Promise<Owner> {
	const owner = build(instance, extra);
	const start = owner.start();
	await clock.advance(answersAfter ?? 0);
	await start;
	return owner;
}

const code = (work: Promise<unknown>) =>
	work.then(
		() => "done",
		(error: FanoutError) => error.code,
	);

beforeEach(() => {
	clock = createFakeClock();
	table = new MemoryTable();
	lost = [];
	errors = [];
	answersAfter = 0;
});

afterEach(async () => {
	answersAfter = 0;
	await Promise.all(owners.splice(0).map((owner) => owner.retire()));
	// P9: whatever a test did, nothing waits afterwards.
	expect(clock.waiting).toBe(0);
});

describe("the fence of its own [P8]", () => {
	test("the lease counts from before the store was asked", async () => {
		answersAfter = 1_500;
		const owner = await started("a");
		answersAfter = undefined;
		expect(owner.acting).toBe(true);
		await clock.advance(LEASE_MS * ACTING_PART - 1_500 - 1);
		expect(owner.acting).toBe(true);
		await clock.advance(1);
		expect(owner.acting).toBe(false);
	});

	test("an owner that nobody replaced acts again when the store answers again, in the same epoch", async () => {
		const owner = await started("a");
		const { hold } = await owner.claim(session);
		answersAfter = undefined;
		await clock.advance(3 * LEASE_MS);
		expect(hold.acting).toBe(false);
		expect(await code(hold.update({ state: 1 }))).toBe("NotOwner");
		expect(await code(owner.claim(session))).toBe("NotOwner");
		answersAfter = 0;
		await clock.advance(LEASE_MS);
		expect(hold.acting).toBe(true);
		expect(lost).toEqual([]);
		expect((await hold.update({ state: 1 })).epoch).toBe(1);
		expect(errors.map((error) => error.code)).toContain("DeadlineExceeded");
	});

	test("one that was replaced loses its term and all its sessions, is told once, and begins anew", async () => {
		const [a, b] = [await started("a"), await started("b")];
		const other = createChannel("session", "other");
		const { hold } = await a.claim(session);
		await a.claim(other);
		// Only a's writes are silent: b's claim must fence it. So a is stopped by hand, as by a cut.
		const row = [...table.rows.keys()].find((key) => key.includes(hold.term.id)) as string;
		const cut = table.rows.get(row);
		table.rows.delete(row);
		await clock.advance(LEASE_MS / 2);
		expect(lost).toEqual([session, other]);
		expect([hold.acting, a.size]).toEqual([false, 0]);
		expect(cut).toBeDefined();
		const taken = b.claim(session, { waitMs: 2 * LEASE_MS });
		await clock.advance(2 * LEASE_MS);
		expect((await taken).record.epoch).toBe(2);
		expect(a.acting).toBe(true);
		expect((await a.claim(createChannel("session", "new"))).created).toBe(true);
		expect(lost).toHaveLength(2);
	});
});

describe("claims [P8]", () => {
	test("a living owner's session is refused with who has it and how long a silence frees it", async () => {
		const [a, b] = [await started("a"), await started("b")];
		await a.claim(session);
		const refusal = await b.claim(session).catch((error: FanoutError) => error);
		expect(refusal).toMatchObject({ code: "Conflict", retryable: true, data: { owner: "a", waitMs: LEASE_MS } });
	});

	test("one that waits gets a released session without waiting for the lease", async () => {
		const [a, b] = [await started("a"), await started("b")];
		const { hold } = await a.claim(session, { state: "kept" });
		const waiting = b.claim(session, { waitMs: LEASE_MS });
		await clock.advance(100);
		await hold.release();
		await clock.advance(600);
		const { record } = await waiting;
		expect([record.epoch, record.state, hold.acting]).toEqual([2, "kept", false]);
		await hold.release();
		expect(b.held(session)?.acting).toBe(true);
	});

	test("two claims of one session in one instance come one after the other: the later hold stands", async () => {
		const a = await started("a");
		const [one, two] = await Promise.all([a.claim(session), a.claim(session)]);
		expect([one.hold.epoch, two.hold.epoch]).toEqual([1, 2]);
		expect([one.hold.acting, two.hold.acting, a.size]).toEqual([false, true, 1]);
		expect(await code(one.hold.update({ state: 1 }))).toBe("NotOwner");
	});

	test("what an instance owns is bounded [P6]", async () => {
		const a = await started("a", { maxHolds: 2 });
		for (const id of ["1", "2"]) await a.claim(createChannel("session", id));
		expect(await code(a.claim(createChannel("session", "3")))).toBe("QueueFull");
	});

	test("a caller that gives up waits no longer [P9]", async () => {
		const [a, b] = [await started("a"), await started("b")];
		await a.claim(session);
		const controller = new AbortController();
		const claim = code(b.claim(session, { waitMs: LEASE_MS, signal: controller.signal }));
		await clock.advance(100);
		controller.abort();
		await clock.settle();
		expect(["Aborted", "Conflict"]).toContain(await claim);
	});
});

test("[P8] a session that only listens outlives the retention of its row: its owner writes it again", async () => {
	const a = await started("a");
	const { hold } = await a.claim(session);
	for (let passed = 0; passed < 5 * RETENTION_MS; passed += LEASE_MS) {
		await clock.advance(LEASE_MS);
		expect(hold.acting).toBe(true);
	}
	expect([...table.rows.keys()]).toContain(session.key);
	expect(lost).toEqual([]);
});

test("[P9] retiring is idempotent, stops acting at once, and frees the sessions by one write", async () => {
	const [a, b] = [await started("a"), await started("b")];
	const { hold } = await a.claim(session);
	const retired = a.retire();
	expect([a.acting, hold.acting]).toEqual([false, false]);
	await Promise.all([retired, a.retire()]);
	expect(await code(a.claim(session))).toBe("Closed");
	expect((await b.claim(session)).record.epoch).toBe(2);
});

test("[P2] what one hold writes is written in the order of the calls, however much of it at once", async () => {
	const owner = await started("a");
	const { hold } = await owner.claim(session);
	answersAfter = 1;
	const steps = Array.from({ length: 60 }, (_, step) => step);
	const updates = Promise.all(steps.map((step) => code(hold.update({ state: step }))));
	await clock.advance(LEASE_MS / 2);
	expect(new Set(await updates)).toEqual(new Set(["done"]));
	answersAfter = 0;
	expect((await hold.update({})).state).toBe(steps.at(-1));
});

test("[P6] updates of one hold that wait are bounded; what was refused may be tried again", async () => {
	const owner = await started("a");
	const { hold } = await owner.claim(session);
	const updates = Array.from({ length: MAX_UPDATES + 1 }, (_, step) => code(hold.update({ state: step })));
	const settled = await Promise.all(updates);
	expect(settled).toEqual([...Array.from({ length: MAX_UPDATES }, () => "done"), "QueueFull"]);
	expect((await hold.update({})).state).toBe(MAX_UPDATES - 1);
});

test("[P7] a session whose row may be gone by the wall clock is lost, and may be claimed again", async () => {
	const owner = await started("a");
	await owner.claim(session);
	const { now } = clock;
	clock.now = () => now() + RETENTION_MS;
	await clock.advance(LEASE_MS / 2);
	expect(lost).toEqual([session]);
	const again = await owner.claim(session);
	expect([again.record.epoch, again.hold.acting]).toEqual([2, true]);
});

test.each([
	["made", false],
	["was there", true],
])("[P7] [P8] a session whose claim was not heard of is given back, where its record %s", async (_record, isThere) => {
	const [a, b] = [await started("a"), await started("b")];
	if (isThere) await (await b.claim(session, { state: "first" })).hold.release();
	// It is written; the answer comes after the deadline.
	answersAfter = 3_000;
	const claimed = code(a.claim(session, { state: "second" }));
	await clock.advance(2_500);
	expect(await claimed).toBe("DeadlineExceeded");
	answersAfter = 0;
	await clock.advance(LEASE_MS);
	const again = await b.claim(session);
	expect([again.hold.acting, again.record.state]).toEqual([true, isThere ? "first" : "second"]);
});

test("[P7] [P8] a session whose release was not heard of is given back, unless it is claimed here again", async () => {
	const [a, b] = [await started("a"), await started("b")];
	const other = createChannel("session", "other");
	const holds = [(await a.claim(session)).hold, (await a.claim(other)).hold];
	isDeaf = true;
	const released = Promise.all(holds.map((hold) => code(hold.release())));
	await clock.advance(2_500);
	expect(await released).toEqual(["DeadlineExceeded", "DeadlineExceeded"]);
	isDeaf = false;
	await a.claim(other);
	await clock.advance(LEASE_MS);
	expect((await b.claim(session)).hold.acting).toBe(true);
	expect(await code(b.claim(other))).toBe("Conflict");
});

test("[P6] [P8] one that owns as many as it may gives back what it was not heard to release, or takes it again", async () => {
	const [a, b] = [await started("a", { maxHolds: 2 }), await started("b")];
	const other = createChannel("session", "other");
	const holds = [(await a.claim(session)).hold, (await a.claim(other)).hold];
	isDeaf = true;
	const released = Promise.all(holds.map((hold) => code(hold.release())));
	await clock.advance(2_500);
	expect(await released).toEqual(["DeadlineExceeded", "DeadlineExceeded"]);
	isDeaf = false;
	expect((await a.claim(other)).hold.acting).toBe(true);
	await clock.advance(LEASE_MS);
	expect((await b.claim(session)).hold.acting).toBe(true);
});

test("[P7] [P8] a session whose record cannot be read keeps no other from being given back", async () => {
	const [a, b] = [await started("a"), await started("b")];
	const other = createChannel("session", "other");
	const holds = [(await a.claim(session)).hold, (await a.claim(other)).hold];
	isDeaf = true;
	const released = Promise.all(holds.map((hold) => code(hold.release())));
	await clock.advance(2_500);
	await released;
	isDeaf = false;
	// As a release too new would write it.
	const row = table.rows.get(session.key);
	if (row === undefined) throw new Error("no row");
	table.rows.set(session.key, { ...row, text: '{"v":999}' });
	await clock.advance(LEASE_MS);
	expect((await b.claim(other)).hold.acting).toBe(true);
	expect(errors.map((error) => error.code)).toContain("UnknownRecordVersion");
});
