import assert from "node:assert/strict";
import type { SessionChange } from "../../../sessions/port.ts";
import { defineRegistryCase as define, eventually, type Instance, TENANT, take, throwsCode } from "../harness.ts";

async function pages(by: Instance, limit: number, between: () => Promise<void> = async () => {}): Promise<string[]> {
	const ids: string[] = [];
	let after: string | undefined;
	do {
		const page = await by.registry.list(TENANT, { limit, after });
		assert.ok(page.sessions.length <= limit, "a page keeps its limit");
		ids.push(...page.sessions.map(({ session }) => session.id));
		after = page.next;
		await between();
	} while (after !== undefined);
	return ids;
}

const names = (count: number) => Array.from({ length: count }, (_, index) => `s-${index}`).sort();

export const listingCases = [
	define("pages", ["P5", "P6"], "a listing shows every session of the tenant once, page by page", async (bench) => {
		const a = await bench.instance("a");
		assert.deepEqual(await pages(a, 5), []);
		const ids = names(23);
		const held = await Promise.all(ids.map((id) => take(a, bench.session(id), id)));
		await take(a, bench.session("elsewhere", "other"));
		for (const limit of [1, 5, 23, 100]) assert.deepEqual((await pages(a, limit)).sort(), ids);
		assert.equal(await a.registry.count(TENANT), 23);
		assert.equal(await a.registry.count("other"), 1);
		assert.equal(await a.registry.count("nobody"), 0);
		for (const one of held.slice(0, 20)) await a.registry.remove(one);
		assert.deepEqual((await pages(a, 2)).sort(), ids.slice(20));
		assert.equal(await a.registry.count(TENANT), 3);
	}),

	define(
		"pages-while-changing",
		["P3"],
		"a session that stays is on a page, whatever changes between the pages",
		async (bench) => {
			const a = await bench.instance("a");
			const ids = names(12);
			const held = await Promise.all(ids.map((id) => take(a, bench.session(id))));
			const leaving = held.slice(8);
			let round = 0;
			const listed = await pages(a, 3, async () => {
				round += 1;
				const gone = leaving.pop();
				if (gone !== undefined) await a.registry.remove(gone);
				if (round < 6) await a.registry.update(held[round] as (typeof held)[0], { state: round });
				if (round < 6) await take(a, bench.session(`new-${round}`));
			});
			for (const { session } of held.slice(0, 8)) assert.ok(listed.includes(session.id), `${session.id} is listed`);
		},
	),

	define("page-bounds", ["P6"], "a page's size and its cursor are checked", async (bench) => {
		const a = await bench.instance("a");
		await take(a, bench.session("s"));
		for (const limit of [0, -1, 1.5, 101, Number.NaN]) {
			await throwsCode("InvalidFilter", `limit ${limit}`, () => a.registry.list(TENANT, { limit }));
		}
		const foreign = Buffer.from("elsewhere:1|x").toString("base64url");
		for (const after of ["", "x", foreign, "a".repeat(5_000)]) {
			await throwsCode("InvalidCursor", `cursor ${after.slice(0, 20)}`, () => a.registry.list(TENANT, { after }));
		}
	}),

	define(
		"watching",
		["P3", "P5"],
		"a watcher is told what stands after each change, of its tenant only",
		async (bench) => {
			const [a, b] = [await bench.instance("a"), await bench.instance("b")];
			const kept = await take(a, bench.session("kept"));
			const told: SessionChange[] = [];
			const listener = { change: (change: SessionChange) => void told.push(change), suspect: () => {} };
			const watch = await b.registry.watch(TENANT, listener);
			const last = (id: string) => told.filter(({ session }) => session.id === id).at(-1);
			const see = (what: string, holds: () => boolean) => eventually(bench.harness, what, holds);
			const held = await take(a, bench.session("s"), 1);
			await see("the claim", () => last("s")?.record?.owner?.instance === "a");
			await take(a, bench.session("unheard", "other"));
			await a.registry.update(held, { state: 2 });
			await see("the update", () => last("s")?.record?.state === 2);
			await a.registry.release(held);
			await see("the release", () => last("s")?.record?.owner === undefined);
			await take(b, bench.session("s"));
			await see("the next claim", () => last("s")?.record?.epoch === 2);
			await a.registry.remove(kept);
			await see("the removal", () => last("kept") !== undefined && last("kept")?.record === undefined);
			assert.ok(told.every(({ session }) => session.tenant === TENANT && session.namespace === bench.namespace));
			await watch.close();
			await watch.close();
		},
	),

	define("closing", ["P9"], "close is idempotent, ends watches, and everything after it is refused", async (bench) => {
		const [a, b] = [await bench.instance("a"), await bench.instance("b")];
		const session = bench.session("s");
		const held = await take(a, session);
		const told: SessionChange[] = [];
		await b.registry.watch(TENANT, { change: (change) => void told.push(change), suspect: () => {} });
		await b.registry.close();
		await b.registry.close();
		const before = told.length;
		await a.registry.update(held, { state: 1 });
		for (const work of [
			() => b.registry.get(session),
			() => b.registry.claim(session, b.term),
			() => b.registry.renew(b.lease),
			() => b.registry.list(TENANT),
		]) {
			await throwsCode("Closed", "a call after close", work);
		}
		assert.equal(told.length, before, "nothing is told after close");
	}),
];
