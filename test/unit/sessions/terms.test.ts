import { beforeEach, expect, test } from "vitest";
import { createMemoryStore, MemoryTable } from "../../../lambda/layer/src/sessions/memory-store.ts";
import type { Store } from "../../../lambda/layer/src/sessions/store.ts";
import { createTerms, elapsedSince, type Terms } from "../../../lambda/layer/src/sessions/terms.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const LEASE_MS = 10_000;
const ANSWER_MS = 3_000;
const term = { instance: "a", id: "term-1", leaseMs: LEASE_MS };
const { signal } = new AbortController();

let clock: FakeClock;
let table: MemoryTable;
let versions = 0;

beforeEach(() => {
	clock = createFakeClock();
	table = new MemoryTable();
});

/** `reads` and `writes` stand at the store at once; their answers are late. */
function termsOf(late: { reads?: boolean; writes?: boolean } = {}): Terms {
	const store = createMemoryStore({ clock, table });
	const delay = async <T>(answer: Promise<T>, isLate: boolean | undefined): Promise<T> => {
		const value = await answer;
		if (isLate) await new Promise<void>((resolve) => void clock.after(ANSWER_MS, resolve));
		return value;
	};
	const slow: Store = {
		...store,
		read: (...args) => delay(store.read(...args), late.reads),
		write: (...args) => delay(store.write(...args), late.writes),
	};
	versions += 1;
	let count = 0;
	const registry = versions;
	return createTerms({ store: slow, namespace: "default", clock, mint: () => `v${registry}.${++count}` });
}

async function timed<T>(work: Promise<T>, ms = ANSWER_MS): Promise<T> {
	await clock.advance(ms);
	return work;
}

test("[P8] an owner's lease counts from before it asked, at its beginning and at each renewal", async () => {
	const terms = termsOf({ writes: true });
	const lease = await timed(terms.enlist(term, signal));
	expect(elapsedSince(clock, lease.askedAt)).toBe(ANSWER_MS);
	await clock.advance(1_000);
	const renewed = await timed(terms.renew(lease, signal));
	expect(elapsedSince(clock, renewed.askedAt)).toBe(ANSWER_MS);
});

test("[P8] an observer counts silence from after it saw the version, however long the answer took", async () => {
	await termsOf().enlist(term, signal);
	const late = { reads: true };
	const observer = termsOf(late);
	expect(await timed(observer.seize(term, signal))).toBe(LEASE_MS);
	late.reads = false;
	await clock.advance(LEASE_MS - ANSWER_MS);
	expect(await observer.seize(term, signal)).toBe(ANSWER_MS);
	await clock.advance(ANSWER_MS);
	expect(await observer.seize(term, signal)).toBe(0);
});

test("[P8] a renewal between two looks begins the silence anew, and one that comes after the fence is refused", async () => {
	const [owner, observer] = [termsOf(), termsOf()];
	let lease = await owner.enlist(term, signal);
	expect(await observer.seize(term, signal)).toBe(LEASE_MS);
	await clock.advance(LEASE_MS - 1);
	lease = await owner.renew(lease, signal);
	await clock.advance(1);
	expect(await observer.seize(term, signal)).toBe(LEASE_MS);
	await clock.advance(LEASE_MS);
	expect(await observer.seize(term, signal)).toBe(0);
	await expect(owner.renew(lease, signal)).rejects.toMatchObject({ code: "NotOwner" });
	await expect(owner.retire(lease, signal)).rejects.toMatchObject({ code: "NotOwner" });
	await expect(owner.enlist(term, signal)).rejects.toMatchObject({ code: "NotOwner" });
});

test("[P8] a renewal whose answer was lost is found again, and does not end the term", async () => {
	const owner = termsOf();
	const lease = await owner.enlist(term, signal);
	await owner.renew(lease, signal);
	const again = await owner.renew(lease, signal);
	expect(again.term).toEqual(term);
	await owner.retire(lease, signal);
	expect(await termsOf().seize(term, signal)).toBe(0);
});

test("[P8] time that a sleeping machine did not count is counted by its wall clock, and a clock set back does not help", () => {
	const at = { monotonic: 100, wall: 1_000 };
	const read = (monotonic: number, now: number) =>
		elapsedSince({ ...clock, monotonic: () => monotonic, now: () => now }, at);
	expect(read(101, 9_000)).toBe(8_000);
	expect(read(5_100, -90_000)).toBe(5_000);
});

test("[P8] a term whose first write was answered late, and which the store's client wrote again, is begun", async () => {
	const store = createMemoryStore({ clock, table });
	const twice: Store = {
		...store,
		async write(...args) {
			await store.write(...args);
			return store.write(...args);
		},
	};
	let count = 0;
	const terms = createTerms({ store: twice, namespace: "default", clock, mint: () => `w${++count}` });
	const lease = await terms.enlist(term, signal);
	expect((await termsOf().renew(lease, signal)).term).toEqual(term);
	await expect(terms.enlist(term, signal)).rejects.toMatchObject({ code: "NotOwner" });
});
