import { expect, test } from "vitest";
import { createFakeClock } from "../../../../lambda/layer/src/testing/fake-clock.ts";
import { EPOCH_SUBJECT, FakeStream } from "./fake-stream.ts";

test("[P3] the first who asks writes the epoch, everyone else finds it", async () => {
	const stream = new FakeStream(createFakeClock());
	const [one, two] = [stream.partition(), stream.partition()];
	const [a, b] = await Promise.all([one.inspect(), two.inspect()]);
	expect(a.epoch).toBe(b.epoch);
	expect(stream.kept.filter(({ subject }) => subject === EPOCH_SUBJECT)).toHaveLength(1);
});

test("[P3] a log that lost its past has another epoch, and who follows is told once", async () => {
	const stream = new FakeStream(createFakeClock());
	let changes = 0;
	const partition = stream.partition(() => {
		changes += 1;
	});
	const before = await partition.inspect();
	expect(changes).toBe(0);
	stream.kept = [];
	stream.last = 0;
	stream.add("p.a.0.topic.x");
	const after = await partition.inspect();
	expect(after.epoch).not.toBe(before.epoch);
	expect(after).toMatchObject({ last: 2, first: 1 });
	expect(partition.highest).toBe(2);
	await partition.inspect();
	expect(changes).toBe(1);
});

test("[P3] a stream that is gone is made again", async () => {
	const stream = new FakeStream(createFakeClock());
	const partition = stream.partition();
	stream.exists = false;
	expect((await partition.inspect()).last).toBe(1);
	expect(stream.exists).toBe(true);
});

test("[P3] an end that moved back is doubted first, since a new leader may be behind; when it stays, the epoch is new", async () => {
	const clock = createFakeClock();
	const stream = new FakeStream(clock);
	const partition = stream.partition();
	const { epoch } = await partition.inspect();
	stream.add("p.a.0.topic.x");
	partition.saw(3);
	const late = partition.inspect();
	await clock.advance(300);
	stream.add("p.a.0.topic.x");
	await clock.advance(300);
	expect(await late).toMatchObject({ epoch, last: 3 });
	partition.saw(9);
	const lost = partition.inspect();
	await clock.advance(2_000);
	const { epoch: other } = await lost;
	expect(other).not.toBe(epoch);
	expect(partition.highest).toBe(4);
});

test("[P3] the epoch is renewed, unchanged, long before age or count takes its message", async () => {
	const clock = createFakeClock();
	const stream = new FakeStream(clock);
	stream.limits = { messages: 10, perChannel: 0, ageMs: 8_000 };
	const partition = stream.partition();
	const { epoch } = await partition.inspect();
	const markers = () =>
		stream.kept.filter(({ subject }) => subject === EPOCH_SUBJECT).map(({ seq, text }) => [seq, text]);
	for (let n = 0; n < 6; n += 1) stream.add("p.a.0.topic.x");
	expect(partition.worn(stream.last)).toBe(true);
	await partition.inspect();
	await clock.settle();
	expect(markers()).toEqual([
		[1, epoch],
		[8, epoch],
	]);
	expect(partition.worn(stream.last)).toBe(false);
	await clock.advance(2_001);
	await partition.inspect();
	await clock.settle();
	expect(markers().at(-1)).toEqual([9, epoch]);
	expect((await partition.inspect()).epoch).toBe(epoch);
});

test("what stands under the epoch's subject but is none is replaced", async () => {
	const stream = new FakeStream(createFakeClock());
	stream.add(EPOCH_SUBJECT, "not an epoch");
	expect((await stream.partition().inspect()).epoch).toMatch(/^[0-9a-f]{8}$/);
});
