import { expect, test } from "vitest";
import { type Known, saw } from "../../../../lambda/layer/src/transports/nats/known.ts";
import { topic } from "../../../support/nats-fleet.ts";
import { EPOCH_SUBJECT } from "./fake-stream.ts";
import { ids, subjectOf, world } from "./ledger-world.ts";

test("[P3] a check costs by what is lost, not by what is heard: a copy lost after one that was heard is found by the next", async () => {
	const { clock, stream, follow, hear, check } = world();
	const names = ids(20);
	follow(...names);
	await check(...names);
	const heard = names.map(hear);
	const lost = stream.add(subjectOf("c5"));
	stream.asked.length = 0;
	expect(await check(...names)).toEqual(heard);
	expect(stream.asked.filter((what) => !what.startsWith("info") && !what.includes("epoch"))).toEqual([]);
	const next = check(...names);
	await clock.advance(1_000);
	expect(await next).toEqual(heard.map((seq, index) => (index === 5 ? lost : seq)));
});

test("[P3] where all that a partition took was heard here a check asks for its end alone, and again for all after a loss", async () => {
	const { clock, stream, follow, followed, hear, check } = world();
	const names = ids(20);
	follow(...names);
	stream.add(subjectOf("elsewhere"));
	const checked = async () => {
		stream.asked.length = 0;
		const found = check(...names);
		await clock.advance(1_000);
		return { ends: await found, asked: stream.asked.filter((what) => what.startsWith("multi")).length };
	};
	await checked();
	const first = names.map(hear);
	for (let round = 0; round < 3; round += 1) {
		first[0] = hear("c0");
		expect(await checked()).toEqual({ ends: first, asked: 0 });
	}
	expect(followed.get(topic("c7").key)?.verified).toBe(stream.last);
	// Lost, under one that was heard: the end alone would not show it.
	const lost = stream.add(subjectOf("c7"));
	first[0] = hear("c0");
	first[7] = lost;
	expect(await checked()).toEqual({ ends: first, asked: 1 });
	first[0] = hear("c0");
	expect(await checked()).toEqual({ ends: first, asked: 0 });
	// Another instance's, after which nothing is known of what is heard.
	stream.add(subjectOf("elsewhere"));
	first[0] = hear("c0");
	expect((await checked()).asked).toBe(1);
	expect(await checked()).toEqual({ ends: first, asked: 0 });
});

test("[P3] what is followed anew is not taken for heard of", async () => {
	const { clock, stream, follow, hear, check } = world();
	follow("a");
	await check("a");
	hear("a");
	follow("b");
	const lost = stream.add(subjectOf("b"));
	const heard = hear("a");
	const found = check("a", "b");
	await clock.advance(1_000);
	expect(await found).toEqual([heard, lost]);
});

test("[P3] a check of many takes its time, in small pieces; who opens meanwhile does not wait for it", async () => {
	const { clock, stream, follow, ends, check } = world();
	const names = ids(200);
	for (const id of names) stream.add(subjectOf(id));
	follow(...names);
	await ends(...names);
	for (const id of names) stream.add(subjectOf(id));
	const multis = () => stream.asked.filter((what) => what.startsWith("multi"));
	stream.asked.length = 0;
	let isOver = false;
	const checked = check(...names).finally(() => {
		isOver = true;
	});
	await clock.settle();
	expect(multis()).toHaveLength(1);
	follow("late");
	expect(await ends("late")).toEqual([stream.last]);
	await clock.advance(60);
	expect(isOver).toBe(false);
	await clock.advance(200);
	expect(await checked).toEqual(names.map((_, index) => stream.last - 199 + index));
	expect(multis()).toHaveLength(Math.ceil(200 / 24));
});

test("[P3] what is heard of during a check hides no loss in the channels that are asked for with it", async () => {
	const { clock, stream, follow, followed, ends, check } = world();
	const names = ids(60);
	follow(...names);
	await ends(...names);
	const lost = stream.add(subjectOf("c30"));
	const checked = check(...names);
	await clock.settle();
	// The first of the second piece.
	saw(followed.get(topic("c24").key) as Known, stream.add(subjectOf("c24")));
	await clock.advance(200);
	expect((await checked)?.[30]).toBe(lost);
});

test("[P3] a channel that is followed anew during a check is left to its own opening", async () => {
	const { clock, stream, follow, followed, ends, check, page } = world();
	const names = ids(60);
	const own = stream.add(subjectOf("c59"));
	follow(...names);
	await ends(...names);
	stream.add(subjectOf("c0"));
	const checked = check(...names);
	await clock.settle();
	await clock.advance(40);
	follow("c59");
	await clock.advance(200);
	await checked;
	expect(followed.get(topic("c59").key)?.ready).toBe(false);
	expect((await page("c59", own - 1)).entries.map(({ position }) => Number(position.offset))).toEqual([own]);
});

test("[P3] what went between the pieces of a check is told: the bounds are those after them", async () => {
	const { clock, stream, follow, ends, check } = world();
	const names = ids(60);
	follow(...names);
	await ends(...names);
	const lost = stream.add(subjectOf("c59"));
	const checked = check(...names);
	await clock.settle();
	stream.add(EPOCH_SUBJECT, "e0000000");
	stream.drop(lost);
	await clock.advance(200);
	expect((await checked)?.[59]).toBe(lost);
});

test("[P3] a check says nothing of a log that became another one meanwhile", async () => {
	const { clock, stream, partition, follow, ends, check } = world();
	const names = ids(60);
	follow(...names);
	await ends(...names);
	stream.add(subjectOf("c0"));
	const checked = check(...names);
	await clock.settle();
	stream.lose();
	stream.add(EPOCH_SUBJECT, "e0000009");
	await partition.inspect();
	await clock.advance(200);
	expect(await checked).toBeUndefined();
});
