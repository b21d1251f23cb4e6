import assert from "node:assert/strict";
import { createChannel } from "../../../core/channel.ts";
import {
	defineRegistryCase as define,
	type Instance,
	LEASE_MS,
	refused,
	take,
	takeAfterSilence,
	throwsCode,
} from "../harness.ts";

const instances = async (bench: { instance(name: string): Promise<Instance> }, ...names: string[]) =>
	Promise.all(names.map((name) => bench.instance(name)));

export const ownershipCases = [
	define("claim-counts-epochs", ["P8"], "a claim of a free session gives the next epoch", async (bench) => {
		const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
		const session = bench.session("s");
		const first = await take(a, session, { step: 1 });
		assert.equal(first.epoch, 1);
		await a.registry.release(first);
		assert.equal((await b.registry.get(session))?.owner, undefined);
		const second = await take(b, session, { step: "ignored: the record is there" });
		assert.equal(second.epoch, 2);
		const record = await a.registry.get(session);
		assert.deepEqual(record?.state, { step: 1 });
		assert.equal(record?.owner?.instance, "b");
		assert.equal(record?.epoch, 2);
	}),

	define(
		"live-owner-refuses",
		["P8"],
		"a session whose owner renews is not taken, however long one waits",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const session = bench.session("s");
			const held = await take(a, session);
			for (let round = 0; round < 3; round += 1) {
				const refusal = await refused(b, session);
				assert.equal(refusal.owner.instance, "a");
				assert.ok(refusal.waitMs > 0 && refusal.waitMs <= LEASE_MS, "a wait within a lease is said");
				a.lease = await a.registry.renew(a.lease);
				b.clock.advance(2 * LEASE_MS);
			}
			await a.registry.update(held, { state: "still mine" });
		},
	),

	define("own-clock", ["P8"], "a first look takes nothing, whatever the observer's clock says", async (bench) => {
		const a = await bench.instance("a");
		const session = bench.session("s");
		await take(a, session);
		const ahead = await bench.instance("b, a day ahead");
		ahead.clock.advance(24 * 60 * 60 * 1000);
		const behind = await bench.instance("c, a day behind");
		behind.clock.advance(-24 * 60 * 60 * 1000);
		await refused(ahead, session);
		await refused(behind, session);
		ahead.clock.advance(LEASE_MS / 2);
		await refused(ahead, session);
	}),

	define(
		"silence-is-taken",
		["P8"],
		"a whole lease of silence lets another take over, and fences the silent one",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const session = bench.session("s");
			const stale = await take(a, session, "before");
			const held = await takeAfterSilence(b, session);
			assert.equal(held.epoch, 2);
			const stands = await b.registry.update(held, { state: "after" });
			await throwsCode("NotOwner", "a stale update", () => a.registry.update(stale, { state: "stale" }));
			await throwsCode("NotOwner", "a stale release", () => a.registry.release(stale));
			await throwsCode("NotOwner", "a stale removal", () => a.registry.remove(stale));
			await throwsCode("NotOwner", "a fenced renewal", () => a.registry.renew(a.lease));
			assert.deepEqual(await a.registry.get(session), stands);
		},
	),

	define(
		"fenced-once",
		["P8"],
		"one silence frees every session of the silent one, and no new term of its frees none",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const sessions = ["1", "2", "3"].map((id) => bench.session(id));
			for (const session of sessions) await take(a, session);
			const [first, ...others] = sessions as [(typeof sessions)[0], ...typeof sessions];
			await takeAfterSilence(b, first);
			for (const session of others) assert.equal((await take(b, session)).epoch, 2);
			const again = await bench.instance("a");
			await refused(again, first);
			await throwsCode("NotOwner", "the old term", () => a.registry.renew(a.lease));
		},
	),

	define(
		"retired-at-once",
		["P8"],
		"a retired term frees its sessions at once, and does not stand again",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const session = bench.session("s");
			const old = await take(a, session);
			await a.registry.retire(a.lease);
			await a.registry.retire(a.lease);
			assert.equal((await take(b, session)).epoch, 2);
			await throwsCode("NotOwner", "a renewal", () => a.registry.renew(a.lease));
			await throwsCode("NotOwner", "an update", () => a.registry.update(old, { state: 1 }));
		},
	),

	define(
		"terms-told",
		["P8"],
		"how a term stands is told to anybody, as it is written, and ends nothing",
		async (bench) => {
			const [a, b, c] = (await instances(bench, "a", "b", "c")) as [Instance, Instance, Instance];
			const session = bench.session("s");
			const held = await take(a, session);
			for (let round = 0; round < 3; round += 1) {
				assert.equal(await c.registry.standing(a.term), "live");
				c.clock.advance(2 * LEASE_MS);
			}
			await a.registry.update(held, { state: "still mine" });
			await takeAfterSilence(b, session);
			assert.equal(await c.registry.standing(a.term), "fenced");
			await b.registry.retire(b.lease);
			assert.equal(await c.registry.standing(b.term), "retired");
			assert.equal(await c.registry.standing({ ...a.term, id: "of nobody" }), "gone");
		},
	),

	define(
		"lost-term",
		["P8"],
		"a term whose row is gone is not taken before a lease of silence, and never renewed",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const session = bench.session("s");
			await take(a, session);
			const place = createChannel("instance", a.term.id, { namespace: bench.namespace });
			const row = await a.store.read(place, AbortSignal.timeout(5_000));
			assert.ok(row);
			assert.ok(await a.store.remove(place, row, AbortSignal.timeout(5_000)));
			assert.equal((await takeAfterSilence(b, session)).epoch, 2);
			await throwsCode("NotOwner", "a renewal", () => a.registry.renew(a.lease));
		},
	),

	define("one-claim-wins", ["P8"], "of claims at the same moment one wins", async (bench) => {
		const fleet = await instances(bench, "a", "b", "c", "d", "e");
		for (const id of ["1", "2", "3", "4"]) {
			const session = bench.session(id);
			const claims = await Promise.all(fleet.map((by) => by.registry.claim(session, by.term)));
			const winners = claims.filter(({ ok }) => ok);
			assert.equal(winners.length, 1, "one winner");
			assert.equal((await fleet[0]?.registry.get(session))?.epoch, 1);
		}
	}),

	define("one-seizure-wins", ["P8"], "of several that saw the same silence one takes the session", async (bench) => {
		const a = await bench.instance("a");
		const fleet = await instances(bench, "b", "c", "d", "e");
		const session = bench.session("s");
		await take(a, session);
		for (const by of fleet) by.clock.advance((await refused(by, session)).waitMs);
		const claims = await Promise.all(fleet.map((by) => by.registry.claim(session, by.term)));
		assert.equal(claims.filter(({ ok }) => ok).length, 1, "one winner");
		assert.equal((await a.registry.get(session))?.epoch, 2);
	}),

	define("own-writes-meet", ["P8"], "an owner's renewals and updates at the same moment all stand", async (bench) => {
		const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
		const session = bench.session("s");
		const held = await take(a, session);
		const updates = ["facts", "state"].map((name) => a.registry.update(held, { [name]: name }));
		const renewals = [a.registry.renew(a.lease), a.registry.renew(a.lease)];
		await Promise.all([...updates, ...renewals]);
		const record = await b.registry.get(session);
		assert.deepEqual([record?.facts, record?.state], ["facts", "state"]);
	}),

	define(
		"removal",
		["P8"],
		"a removed session is gone for its owner, also when another opens it anew",
		async (bench) => {
			const [a, b] = (await instances(bench, "a", "b")) as [Instance, Instance];
			const session = bench.session("s");
			const held = await take(a, session);
			const seen = await b.registry.get(session);
			assert.ok(seen);
			await throwsCode("Conflict", "a removal beside a living owner", () => b.registry.remove(seen));
			await a.registry.remove(held);
			assert.equal(await b.registry.get(session), undefined);
			const anew = await take(b, session, "anew");
			assert.equal(anew.epoch, held.epoch, "the count of a new record begins anew");
			await throwsCode("NotOwner", "the old owner's update", () => a.registry.update(held, { state: "stale" }));
			await throwsCode("NotOwner", "the old owner's removal", () => a.registry.remove(held));
			await b.registry.release(anew);
			const free = await a.registry.get(session);
			assert.ok(free);
			await a.registry.remove(free);
			assert.equal(await b.registry.get(session), undefined);
		},
	),

	define(
		"removed-and-mine-again",
		["P8"],
		"a hold from before a removal is stale, also for the same owner in the same epoch",
		async (bench) => {
			const a = await bench.instance("a");
			const session = bench.session("s");
			const before = await take(a, session);
			await a.registry.remove(before);
			const after = await take(a, session, "anew");
			assert.deepEqual([before.epoch, before.term], [after.epoch, after.term]);
			await throwsCode("NotOwner", "an update", () => a.registry.update(before, { state: "stale" }));
			await throwsCode("NotOwner", "a release", () => a.registry.release(before));
			await throwsCode("NotOwner", "a removal", () => a.registry.remove(before));
			assert.equal((await a.registry.get(session))?.state, "anew");
		},
	),
];
