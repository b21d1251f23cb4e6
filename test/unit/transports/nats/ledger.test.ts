import { expect, test } from "vitest";
import { EPOCH_SUBJECT } from "./fake-stream.ts";
import { ids, subjectOf, world } from "./ledger-world.ts";

test("[P3] the end of an empty channel is where the log was: it stays there while others write", async () => {
	const { stream, follow, ends } = world();
	stream.add(subjectOf("loud"));
	follow("a");
	expect(await ends("a")).toEqual([2]);
	for (let n = 0; n < 5; n += 1) stream.add(subjectOf("loud"));
	expect(await ends("a")).toEqual([2]);
	stream.add(subjectOf("a"));
	expect(await ends("a")).toEqual([8]);
});

test("[P3] a place before the end that an empty channel opened with is quiet up to there, without a request; one before the log is lost", async () => {
	const { stream, follow, ends, page } = world();
	for (let n = 0; n < 5; n += 1) stream.add(subjectOf("loud"));
	stream.drop(2);
	follow("a");
	const [floor] = await ends("a");
	stream.asked.length = 0;
	for (const place of [2, 3, 5]) {
		const { verdict, entries, quiet } = await page("a", place);
		expect([verdict, entries.length, Number(quiet?.offset)]).toEqual(["whole", 0, floor]);
	}
	expect(stream.asked.filter((what) => what.startsWith("batch"))).toEqual([]);
	expect((await page("a", 1)).verdict).toBe("retention");
	// An end with an entry says nothing of what is before it.
	const own = stream.add(subjectOf("a"));
	expect(await ends("a")).toEqual([own]);
	const { entries, quiet } = await page("a", 3);
	expect([entries.map(({ position }) => Number(position.offset)), quiet]).toEqual([[own], undefined]);
});

test("[P3] who opens a channel with entries asks once, all at once; what comes between the answers is found by the next check", async () => {
	const { stream, partition, follow, ends } = world();
	await partition.inspect();
	const own = stream.add(subjectOf("a"));
	const { info } = stream.api;
	let late = 0;
	stream.asked.length = 0;
	stream.api.info = async (name) => {
		if (late === 0) late = stream.add(subjectOf("a"));
		return info(name);
	};
	follow("a");
	expect(await ends("a")).toEqual([own]);
	expect(stream.asked.toSorted()).toEqual(["info", `last ${EPOCH_SUBJECT}`, `last ${subjectOf("a")}`].toSorted());
	expect(await ends("a")).toEqual([late]);
});

test("[P3] an end that another log gave is not this one's", async () => {
	const { stream, partition, follow, ends } = world();
	await partition.inspect();
	for (let n = 0; n < 9; n += 1) stream.add(subjectOf("a"));
	const { last } = stream.api;
	stream.api.last = (name, subject) => {
		const found = last(name, subject);
		// A new log, after the old one answered for the channel and before the partition was asked for.
		if (subject === subjectOf("a") && stream.last > 5) {
			stream.lose();
			stream.add(EPOCH_SUBJECT, "e0000009");
			stream.add(subjectOf("a"));
		}
		return found;
	};
	follow("a");
	expect(await ends("a")).toEqual([2]);
	expect(partition.epoch).toBe("e0000009");
});

test("[P3] what went between a page's answers is told: the bounds are those after the batch", async () => {
	const { stream, verdict } = world();
	const own = stream.add(subjectOf("a"));
	stream.add(subjectOf("a"));
	stream.add(subjectOf("a"));
	const { info } = stream.api;
	let asked = 0;
	stream.api.info = async (name) => {
		const answer = await info(name);
		asked += 1;
		// Once for the epoch's sake, once beside the batch: the answer is older than what it goes with.
		if (asked === 2) stream.drop(2);
		return answer;
	};
	expect((await verdict("a", own))[0]).toBe("retention");
});

test("thousands of channels cost a thousandth of the requests, and nothing more while their partition stands still", async () => {
	const { stream, follow, ends } = world();
	const names = ids(2_500);
	for (const id of names.slice(0, 1_000)) stream.add(subjectOf(id));
	follow(...names);
	await ends(...names);
	const multis = () => stream.asked.filter((what) => what.startsWith("multi"));
	expect(multis()).toHaveLength(3);
	stream.asked.length = 0;
	await ends(...names);
	expect(stream.asked).toEqual(["info", `last ${EPOCH_SUBJECT}`].sort((a, b) => b.localeCompare(a)));
	stream.add(subjectOf("c7"));
	stream.asked.length = 0;
	const found = await ends(...names);
	expect(found[7]).toBe(stream.last);
	expect(multis().every((what) => what.endsWith(` from ${stream.last}`))).toBe(true);
});

test("[P3] a replica that is behind is asked again; when it stays behind, the leader is asked", async () => {
	const { clock, stream, follow, ends } = world();
	const names = ids(20);
	follow(...names);
	await ends(...names);
	stream.add(subjectOf("c3"));
	stream.behind = 1;
	const asked = ends(...names);
	await clock.advance(50);
	stream.behind = 0;
	await clock.advance(1_000);
	expect((await asked)[3]).toBe(stream.last);
	stream.add(subjectOf("c4"));
	stream.behind = 1;
	const again = ends(...names);
	await clock.advance(5_000);
	expect((await again)[4]).toBe(stream.last);
});

test("[P3] a position is whole while its own entry is there, or nothing can be gone; else `retention`", async () => {
	const { stream, partition, verdict } = world(3);
	await partition.inspect();
	const [first, second] = [stream.add(subjectOf("a")), stream.add(subjectOf("a"))];
	expect(await verdict("a", 0)).toEqual(["whole", `0<${first}`, `${first}<${second}`]);
	expect(await verdict("a", first)).toEqual(["whole", `${first}<${second}`]);
	const third = stream.add(subjectOf("a"));
	// As many as a channel may have: there may have been more.
	expect((await verdict("a", 0))[0]).toBe("retention");
	expect((await verdict("a", first))[0]).toBe("whole");
	stream.drop(2);
	expect(await verdict("a", 0)).toEqual(["retention", `${second - 1}<${second}`, `${second}<${third}`]);
	expect((await verdict("a", first))[0]).toBe("whole");
	stream.drop(1);
	expect(await verdict("a", first)).toEqual(["retention", `${third - 1}<${third}`]);
	expect(await verdict("a", second)).toEqual(["whole", `${second}<${third}`]);
	expect((await verdict("a", 99))[0]).toBe("epoch");
});

test("[P3] a quiet channel whose last entry expired stays whole where its instance looked all the time", async () => {
	const { stream, follow, ends, verdict } = world();
	follow("a");
	const own = stream.add(subjectOf("a"));
	expect(await ends("a")).toEqual([own]);
	for (let n = 0; n < 5; n += 1) stream.add(subjectOf("loud"));
	await ends("a");
	stream.drop(4);
	expect(await verdict("a", own)).toEqual(["whole"]);
	const next = stream.add(subjectOf("a"));
	expect(await verdict("a", own)).toEqual(["whole", `${own}<${next}`]);
	expect(await ends("a")).toEqual([next]);
	expect(await verdict("a", own)).toEqual(["whole", `${own}<${next}`]);
});

test("[P3] when everything since the last look is gone, the end moves to where the log begins: a loss is told", async () => {
	const { stream, follow, ends, verdict } = world();
	follow("a");
	const own = stream.add(subjectOf("a"));
	await ends("a");
	for (let n = 0; n < 9; n += 1) stream.add(subjectOf("loud"));
	stream.drop(8);
	stream.add(EPOCH_SUBJECT, (await world().partition.inspect()).epoch);
	const [end] = await ends("a");
	expect(end).toBe(stream.first - 1);
	expect((await verdict("a", own))[0]).toBe("retention");
});
