/** Claims that wait for others before the store is asked: behind one of the same session, or for one of so many at once. */
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import type { FanoutError } from "../../../lambda/layer/src/core/errors.ts";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createMemoryStore, MemoryTable } from "../../../lambda/layer/src/sessions/memory-store.ts";
import { createOwner, MAX_CLAIMS_AT_ONCE } from "../../../lambda/layer/src/sessions/owner.ts";
import { createRegistry } from "../../../lambda/layer/src/sessions/registry.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const session = (id: string) => createChannel("session", id);

async function world() {
	const clock = createFakeClock();
	const table = new MemoryTable();
	const away = { is: false };
	const owner = (instance: string) => {
		const store = createMemoryStore({ clock, table });
		const read: typeof store.read = (...args) => (away.is ? new Promise(() => {}) : store.read(...args));
		const parts = { namespace: "default", clock, ids: createIds(clock) };
		const registry = createRegistry({ store: { ...store, read }, ...parts });
		return createOwner({ registry, instance, clock, random: () => 0.5, leaseMs: 60_000 });
	};
	const [a, b] = [owner("a"), owner("b")];
	await Promise.all([a.start(), b.start()]);
	const close = () => Promise.all([a.retire(), b.retire()]);
	return { clock, away, a, b, close };
}

function outcome(work: Promise<unknown>): { code?: string } {
	const seen: { code?: string } = {};
	work.then(
		() => Object.assign(seen, { code: "done" }),
		(error: FanoutError) => Object.assign(seen, { code: error.code }),
	);
	return seen;
}

test("[P7] [P9] who gives up behind as many claims as may be under way waits no longer, and nothing was asked for it", async () => {
	const { clock, away, a, b, close } = await world();
	away.is = true;
	const first = Array.from({ length: MAX_CLAIMS_AT_ONCE }, (_, index) => outcome(a.claim(session(`s${index}`))));
	const gone = new AbortController();
	const last = outcome(a.claim(session("last"), { signal: gone.signal }));
	await clock.settle();
	gone.abort();
	await clock.settle();
	expect(last).toEqual({ code: "Aborted" });
	away.is = false;
	await clock.advance(20_000);
	expect(first.every(({ code }) => code === "DeadlineExceeded")).toBe(true);
	// Nobody took it without knowing.
	expect(outcome(b.claim(session("last")))).toEqual({});
	await clock.advance(1_000);
	expect(b.held(session("last"))?.epoch).toBe(1);
	await close();
	expect(clock.waiting).toBe(0);
});

test("[P9] who gives up behind another claim of the same session waits no longer, and the next still comes in turn", async () => {
	const { clock, a, b, close } = await world();
	await b.claim(session("s"));
	const waits = outcome(a.claim(session("s"), { waitMs: 30_000 }));
	const gone = new AbortController();
	const second = outcome(a.claim(session("s"), { waitMs: 30_000, signal: gone.signal }));
	const third = a.claim(session("s"), { waitMs: 30_000 });
	await clock.advance(100);
	gone.abort();
	await clock.settle();
	expect([second, waits]).toEqual([{ code: "Aborted" }, {}]);
	await b.held(session("s"))?.release();
	await clock.advance(1_000);
	expect(waits).toEqual({ code: "done" });
	expect(a.held(session("s"))).toBe((await third).hold);
	await close();
	expect(clock.waiting).toBe(0);
});
