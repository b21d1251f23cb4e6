/** One track on a lane that the test plays: what it must not do while it replays, in another log, or after its close. */
import { expect, test } from "vitest";
import type { Position } from "../../../lambda/layer/src/core/position.ts";
import type { Entry, Page } from "../../../lambda/layer/src/core/transport.ts";
import type { Engine } from "../../../lambda/layer/src/deliver/engine.ts";
import type { Lane } from "../../../lambda/layer/src/deliver/lane.ts";
import { Track, type TrackHost } from "../../../lambda/layer/src/deliver/track.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";

const at = (offset: number, epoch = "e0000001"): Position => ({ epoch, offset: offset });
const entry = (offset: number, epoch?: string): Entry => ({
	position: at(offset, epoch),
	prev: at(offset - 1, epoch),
});

/** `from` is what memory reaches back to. */
function bench(position: Position, window: { from: number; entries: Entry[] }) {
	const clock = createFakeClock();
	const said: string[] = [];
	const asked: PromiseWithResolvers<Page>[] = [];
	let released = 0;
	let checks = 0;
	const lane = {
		state: "live",
		get seen() {
			return window.entries.at(-1)?.position ?? at(window.from);
		},
		after({ epoch, offset }: Position) {
			const { seen } = this;
			if (epoch !== seen.epoch || offset < window.from || offset > seen.offset) return undefined;
			return window.entries.filter((one) => one.position.offset > offset);
		},
		read() {
			const page = Promise.withResolvers<Page>();
			asked.push(page);
			return page.promise;
		},
		async check() {
			checks += 1;
		},
		follow() {},
		unfollow() {},
	};
	const engine = {
		release() {
			released += 1;
		},
	};
	const host: TrackHost = {
		clock,
		take: (_track, { position: { offset } }) => void said.push(String(offset)),
		mark: (reason) => void said.push(reason),
		ended: (reason) => void said.push(`ended ${reason}`),
		room: () => undefined,
		report: ({ code }) => void said.push(code),
	};
	const track = new Track(engine as unknown as Engine, lane as unknown as Lane, position, host);
	const page = (entries: Entry[], more: Partial<Page> = {}) => {
		const channel = { namespace: "t", tenant: "t", kind: "topic", id: "c", key: "t/t/topic:c" } as const;
		asked.shift()?.resolve({ channel, entries, more: false, verdict: "whole", ...more });
		return clock.settle();
	};
	return { clock, said, asked, track, lane, window, page, counts: () => ({ released, checks }) };
}

test("[P4] what a lane hands over is shown once: not what stands at or before the stream's place", () => {
	const { track, said } = bench(at(3), { from: 3, entries: [] });
	track.start();
	for (const offset of [2, 3, 4, 4, 3, 5]) track.entry(entry(offset));
	expect(said).toEqual(["4", "5"]);
	track.entry(entry(1, "e0000002"));
	expect(said).toEqual(["4", "5", "1"]);
});

test("[P3] while it replays it takes neither entries nor jumps from the lane: the log says both", async () => {
	const { clock, track, said, page, window } = bench(at(1), { from: 8, entries: [entry(9)] });
	track.start();
	await clock.settle();
	track.entry(entry(10));
	track.jump("gap", at(20));
	expect([said, track.position, track.isLive]).toEqual([[], at(1), false]);
	await page([2, 3, 4, 5, 6, 7, 8].map((offset) => entry(offset)));
	expect([said.join(" "), track.isLive]).toEqual(["2 3 4 5 6 7 8 9", true]);
	window.entries = [];
	track.jump("gap", at(20));
	expect([said.at(-1), track.position, track.isLive]).toEqual(["gap", at(20), false]);
});

test("[P9] after its close nothing is said, whatever comes late, and the lane is given back once", async () => {
	const { clock, track, said, page, counts, asked } = bench(at(1), { from: 8, entries: [] });
	track.start();
	await clock.settle();
	track.close();
	track.close();
	await page([], { verdict: "retention" });
	track.ended("moved");
	track.start();
	await clock.advance(5_000);
	expect([said, counts(), asked.length, clock.waiting]).toEqual([[], { released: 1, checks: 0 }, 0, 0]);

	const failing = bench(at(1), { from: 8, entries: [] });
	failing.track.start();
	await failing.clock.settle();
	failing.track.close();
	failing.asked[0]?.reject(new Error("late"));
	await failing.clock.advance(5_000);
	expect([failing.said, failing.asked.length]).toEqual([[], 1]);
});

test("[P3] closed by what it shows, it shows no more of what it missed", () => {
	const { track, said } = bench(at(3), { from: 3, entries: [entry(4), entry(5)] });
	const { push } = said;
	said.push = (...what) => {
		if (what[0] === "4") track.close();
		return push.apply(said, what);
	};
	track.start();
	expect([...said]).toEqual(["4"]);
	expect(track.isLive).toBe(false);
});

test("[P6] a log that is behind is looked at less and less often, and often again once it moved", async () => {
	const { clock, track, said, page, asked } = bench(at(1), { from: 50, entries: [] });
	track.start();
	const looks: number[] = [];
	const look = async (entries: Entry[] = []) => {
		const from = clock.monotonic();
		await clock.settle();
		while (asked.length === 0) await clock.advance(1);
		looks.push(clock.monotonic() - from);
		await page(entries);
	};
	for (let n = 0; n < 9; n += 1) await look();
	expect(looks).toEqual([0, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
	await clock.advance(1_000);
	await page([entry(2)]);
	looks.length = 0;
	for (let n = 0; n < 3; n += 1) await look();
	expect(looks).toEqual([0, 20, 40]);
	expect(said).toEqual(["2"]);
	track.close();
});

test("[P3] a place beyond the lane's end is another log's, unless the log reaches there; a lane in another log says nothing of it", async () => {
	const beyond = bench(at(9), { from: 3, entries: [] });
	beyond.track.start();
	await beyond.clock.settle();
	await beyond.page([], { through: at(5) });
	expect([beyond.said, beyond.track.position]).toEqual([["epoch"], at(3)]);

	const shared = bench(at(9), { from: 3, entries: [] });
	shared.track.start();
	await shared.clock.settle();
	await shared.page([], { through: at(9) });
	expect([shared.said, shared.track.position]).toEqual([[], at(3)]);

	const elsewhere = bench(at(9, "e0000002"), { from: 3, entries: [] });
	elsewhere.track.start();
	await elsewhere.clock.settle();
	await elsewhere.page([]);
	expect([elsewhere.said, elsewhere.track.position]).toEqual([[], at(9, "e0000002")]);
	elsewhere.track.close();
});

test("[P3] where nothing is, it goes on to the lane's end or as far as that is known, and never back", async () => {
	for (const [quiet, place] of [
		[20, 9],
		[6, 6],
		[2, 4],
	] as const) {
		const { clock, track, page, said } = bench(at(4), { from: 9, entries: [] });
		track.start();
		await clock.settle();
		await page([], { quiet: at(quiet) });
		expect([track.position, said]).toEqual([at(place), []]);
		track.close();
	}
});

test("[P3] after a jump it is live again with the first entry that its lane hands over as it happens", () => {
	const { track, lane } = bench(at(3), { from: 3, entries: [] });
	track.start();
	lane.state = "filling";
	track.jump("epoch", at(0, "e0000002"));
	track.entry(entry(1, "e0000002"));
	expect(track.isLive).toBe(false);
	lane.state = "live";
	track.entry(entry(2, "e0000002"));
	expect(track.isLive).toBe(true);
});
