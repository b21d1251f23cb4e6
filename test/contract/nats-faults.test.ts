/** What one real nats-server does to messages, logs and settings; each history was measured before it was a test. */
import { connect } from "@nats-io/transport-node";
import { expect, test, vi } from "vitest";
import type { Subscriber } from "../../lambda/layer/src/core/transport.ts";
import { createSubjects } from "../../lambda/layer/src/transports/nats/subjects.ts";
import { isLive, LATE, never, numbersIn, readAll, upTo, useNats } from "../support/nats-bench.ts";
import { envelopeOf, startInstance, topic } from "../support/nats-fleet.ts";

const bench = useNats();
const { prefix, instance, tampered } = bench;
const isInfo = (subject: string) => subject.includes(".STREAM.INFO.");

test("[P3] a live copy that is lost without a successor is found within the stated time", async () => {
	const shared = prefix();
	const link = await tampered();
	const follower = await instance({ prefix: shared, connection: link.nc });
	const publisher = await instance({ prefix: shared });
	const stream = await follower.open(topic("quiet"));
	const busy = await follower.open(topic("busy"));
	link.arrives = ({ subject }) => !isLive(subject);
	await publisher.publish(topic("quiet"), 1);
	await publisher.publish(topic("busy"), 1);
	await vi.waitFor(() => expect([stream.numbers, busy.numbers]).toEqual([[1], [1]]), LATE);
	expect([...stream.marks, ...busy.marks]).toEqual([]);
});

test("[P3] a hole is seen whatever the methods are, since a channel is one subject", async () => {
	const shared = prefix();
	const link = await tampered();
	const follower = await instance({ prefix: shared, connection: link.nc });
	const publisher = await instance({ prefix: shared });
	const stream = await follower.open(topic("a"));
	let lost = 0;
	link.arrives = ({ subject }) => !isLive(subject) || ++lost !== 2;
	const methods = ["notifications/message", "notifications/progress", "notifications/message"];
	for (const [index, method] of methods.entries()) {
		const envelope = envelopeOf(topic("a"), index + 1);
		await publisher.publisher.publish({ ...envelope, message: { ...envelope.message, method } });
	}
	await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2, 3]), LATE);
	expect(stream.marks).toEqual([]);
});

test("[P3] [P4] a duplicate acknowledgement nudges the subject: subscribers learn the end at once", async () => {
	const shared = prefix();
	const link = await tampered();
	const follower = await instance({ prefix: shared, connection: link.nc });
	const publisher = await instance({ prefix: shared });
	const channel = topic("a");
	const suspects: number[] = [];
	const subscriber: Subscriber = { entry() {}, suspect: () => void suspects.push(1), ended() {} };
	const subscription = follower.transport.subscribe(channel, subscriber);
	await subscription.ready;
	link.arrives = ({ subject, headers }) => !isLive(subject) || headers?.has("Nats-Sequence") !== true;
	const envelope = envelopeOf(channel, 1);
	const [first] = await publisher.transport.publish(channel, [envelope], { mayExist: false }, never);
	const [second] = await publisher.transport.publish(channel, [envelope], { mayExist: true }, never);
	expect(first).toMatchObject({ ok: true, duplicate: false });
	expect(second).toMatchObject({ ok: true, duplicate: true, position: first?.ok ? first.position : undefined });
	await vi.waitFor(() => expect(suspects.length).toBeGreaterThan(0), LATE);
	subscription.close();
});

test("[P2] [P4] a batch with one id that is stored already is resent one by one: everything once, in order", async () => {
	const { transport, ...rest } = await instance({ prefix: prefix() });
	const channel = topic("a");
	const batch = upTo(10).map((n) => envelopeOf(channel, n));
	const third = batch.slice(0, 3);
	await transport.publish(channel, third, { mayExist: false }, never);
	const outcomes = await transport.publish(channel, batch, { mayExist: false }, never);
	expect(outcomes.map((outcome) => outcome.ok && outcome.duplicate)).toEqual([
		...Array(3).fill(true),
		...Array(7).fill(false),
	]);
	const page = await readAll({ transport, ...rest }, channel);
	expect(numbersIn(page)).toEqual(upTo(10));
	expect(page.entries.map(({ position }) => position)).toEqual(
		outcomes.map((outcome) => outcome.ok && outcome.position),
	);
});

test("[P3] what a neighbour pushed out is told: by a read, and by the next live entry of a quiet channel", async () => {
	const shared = { prefix: prefix(), partitions: 1, maxMessages: 50 };
	const follower = await instance(shared);
	const publisher = await instance(shared);
	const [quiet, loud] = [topic("quiet"), topic("loud")];
	await publisher.publish(quiet, 1);
	const before = await follower.open(quiet);
	await publisher.publish(quiet, 2);
	await vi.waitFor(() => expect(before.numbers).toEqual([2]), LATE);
	const { cursor } = before;
	const { entries } = await readAll(publisher, quiet);
	for (const part of [1, 2]) {
		for (const n of upTo(40)) await publisher.publish(loud, part * 100 + n);
		// As the engine does all the time: half of what a partition keeps has passed.
		await follower.transport.ends([quiet], never);
	}
	expect((await readAll(publisher, quiet)).verdict).toBe("retention");
	expect((await readAll(publisher, quiet, entries[1]?.position)).verdict).toBe("retention");
	// The open stream knows that nothing is missing: its instance looked all the time.
	await publisher.publish(quiet, 3);
	await vi.waitFor(() => expect(before.numbers).toEqual([2, 3]), LATE);
	expect(before.marks).toEqual([]);
	// Another instance cannot know that of a cursor whose own entry is gone.
	const elsewhere = await (await instance(shared)).open(quiet, cursor);
	await vi.waitFor(() => expect(elsewhere.marks).toEqual(["retention"]), LATE);
	await vi.waitFor(() => expect(elsewhere.numbers).toEqual([3]), LATE);
});

test("[P3] a stream that opened on an empty channel resumes whole on any instance, whoever opened its lane first", async () => {
	const shared = { prefix: prefix(), partitions: 1 };
	const [one, two] = [await instance(shared), await instance(shared)];
	const [empty, loud] = [topic("empty"), topic("loud")];
	const early = await two.open(empty);
	for (const n of upTo(5)) await one.publish(loud, n);
	const { cursor } = await one.open(empty);
	const resumed = await two.open(empty, cursor);
	const link = await tampered();
	const third = await instance({ ...shared, connection: link.nc });
	for (const n of upTo(5)) await one.publish(loud, n);
	const later = await third.open(empty, cursor);
	await vi.waitFor(() => expect(link.asked.filter(isInfo).length).toBeGreaterThan(3), LATE);
	// What it came from is before the end that its lane opened with, and a replay has nothing to look for.
	expect(link.asked.filter((subject) => subject.includes(".DIRECT.GET."))).toEqual([]);
	for (const n of upTo(3)) await one.publish(empty, n);
	for (const stream of [early, resumed, later]) {
		await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2, 3]), LATE);
		expect(stream.marks).toEqual([]);
	}
});

test("[P3] a partition that does not answer keeps no other from being checked: a lost end there is found", async () => {
	const shared = { prefix: prefix(), partitions: 2, requestTimeoutMs: 300 };
	const link = await tampered();
	const follower = await instance({ ...shared, connection: link.nc });
	const publisher = await instance(shared);
	const subjects = createSubjects(shared.prefix, 2);
	const inPartition = (n: number) =>
		upTo(100)
			.map((at) => topic(`t${at}`))
			.find((channel) => subjects.of(channel).partition === n) as ReturnType<typeof topic>;
	const [bad, good] = [inPartition(0), inPartition(1)];
	await follower.open(bad);
	const stream = await follower.open(good);
	link.arrives = (msg) => !isLive(msg.subject) && !msg.string().includes(`"name":"${subjects.stream(0)}"`);
	await publisher.publish(good, 1);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1]), LATE);
	expect(stream.marks).toEqual([]);
	await expect(follower.transport.ends([bad], never)).rejects.toMatchObject({ code: "DeadlineExceeded" });
	const [none, some] = await follower.transport.ends([bad, good], never);
	expect([none, some?.offset]).toEqual([undefined, expect.any(Number)]);
});

test("[P3] what is lost out of an answer when a hole is filled shows: it is read again until its sequence was seen", async () => {
	const shared = prefix();
	const link = await tampered();
	const follower = await instance({ prefix: shared, connection: link.nc });
	const publisher = await instance({ prefix: shared });
	const stream = await follower.open(topic("a"));
	let stale = 3;
	link.arrives = ({ subject, headers }) => {
		if (isLive(subject)) return headers?.get("Nats-Last-Sequence") !== "0";
		const isEntry = headers?.has("Nats-Num-Pending") && headers.has("Nats-Subject");
		return isEntry !== true || stale-- <= 0;
	};
	for (const n of upTo(2)) await publisher.publish(topic("a"), n);
	await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2]), LATE);
	expect(stale).toBeLessThanOrEqual(0);
	expect(stream.marks).toEqual([]);
});

test("[P3] [P5] two numbers of partitions, or other settings, in one fleet are refused with the difference", async () => {
	const shared = prefix();
	const starts = await Promise.allSettled([
		instance({ prefix: shared, partitions: 4 }),
		instance({ prefix: shared, partitions: 6 }),
	]);
	const failed = starts.filter((start) => start.status === "rejected");
	expect(failed).toHaveLength(1);
	expect(failed[0]?.reason).toMatchObject({ code: "ConfigInvalid" });
	expect(String(failed[0]?.reason)).toMatch(/mcp-fanout-partitions is "[46]", not "[46]"/);
	const partitions = starts[0]?.status === "fulfilled" ? 4 : 6;
	await expect(instance({ prefix: shared, partitions, maxAgeMs: 60_000 })).rejects.toThrow(
		/max_age is \d+, not 60000000000/,
	);
	await instance({ prefix: shared, partitions });
});

test("[P3] instances that start at once on an empty server all start, with one epoch", async () => {
	const shared = { prefix: prefix(), partitions: 3 };
	const fleet = await Promise.all(upTo(6).map(() => instance(shared)));
	const ends = await Promise.all(fleet.map(({ transport }) => transport.ends([topic("a")], never)));
	expect(new Set(ends.map(([end]) => end?.epoch)).size).toBe(1);
});

test("[P3] after a reconnect thousands of channels cost a few requests for each partition, and all are whole", async () => {
	const shared = { prefix: prefix(), partitions: 4 };
	const link = await tampered();
	const follower = await instance({ ...shared, connection: link.nc });
	const publisher = await instance(shared);
	const channels = upTo(2_000).map((n) => topic(`session-${n}`));
	const streams = await Promise.all(channels.map((channel) => follower.open(channel)));
	let heard = 0;
	link.arrives = ({ subject }) => !isLive(subject) || heard++ < 0;
	await Promise.all(channels.map((channel) => publisher.publish(channel, 1)));
	link.asked.length = 0;
	await link.real.reconnect();
	link.arrives = () => true;
	await vi.waitFor(() => expect(streams.filter(({ numbers }) => numbers.length !== 1)).toEqual([]), LATE);
	expect(streams.flatMap(({ marks }) => marks)).toEqual([]);
	expect(streams.every(({ numbers }) => numbers[0] === 1)).toBe(true);
	// Epochs and bounds, what was missed, and the ends: nothing for each channel.
	expect(link.asked.length).toBeLessThan(100);
});

test("[P3] thousands of streams that come from another instance open for a few requests together, whole", async () => {
	const shared = { prefix: prefix(), partitions: 4 };
	const publisher = await instance(shared);
	const channels = upTo(2_000).map((n) => topic(`session-${n}`));
	const before = await Promise.all(channels.map((channel) => publisher.open(channel)));
	await Promise.all(channels.slice(0, 500).map((channel) => publisher.publish(channel, 1)));
	const link = await tampered();
	const other = await instance({ ...shared, connection: link.nc });
	await vi.waitFor(() => expect(before.filter(({ numbers }) => numbers.length > 0)).toHaveLength(500), LATE);
	link.asked.length = 0;
	const streams = await Promise.all(channels.map((channel, n) => other.open(channel, before[n]?.cursor)));
	expect(link.asked.length).toBeLessThan(100);
	await Promise.all(channels.map((channel) => publisher.publish(channel, 2)));
	await vi.waitFor(() => expect(streams.filter(({ numbers }) => numbers.length !== 1)).toEqual([]), LATE);
	expect(streams.flatMap(({ marks }) => marks)).toEqual([]);
	// Beside regular checks, which are as many as this took seconds and read nothing where nothing was lost.
	expect(link.asked.filter((subject) => subject.includes(".DIRECT.GET.")).length).toBeLessThan(100);
});

test("[P7] a server that nobody answers at: the error names it and the deadline, and no secret", async () => {
	const urls = ["nats://someone:secret@127.0.0.1:9", "nats://127.0.0.1:10"];
	const failed = instance({ servers: urls, connectTimeoutMs: 2_000 });
	await expect(failed).rejects.toThrow(
		/could not connect to nats:\/\/127\.0\.0\.1:9, nats:\/\/127\.0\.0\.1:10 within 2000 ms/,
	);
	await expect(failed).rejects.not.toThrow(/secret/);
});

test("[P9] a connection that was passed in keeps nothing of a transport that is closed, or that did not start", async () => {
	const nc = await connect({ servers: bench.urls });
	bench.defer(() => nc.close());
	const { protocol } = nc as unknown as {
		readonly protocol: { readonly listeners: unknown[]; readonly subscriptions: { size(): number } };
	};
	const kept = () => [protocol.listeners.length, protocol.subscriptions.size()];
	const before = kept();
	const shared = prefix();
	const one = await startInstance({ connection: nc, prefix: shared, storage: "memory" });
	await one.open(topic("followed"));
	await one.close();
	await expect(startInstance({ connection: nc, prefix: shared, storage: "memory", partitions: 3 })).rejects.toThrow();
	await vi.waitFor(() => expect(kept()).toEqual(before), LATE);
	expect(nc.isClosed()).toBe(false);
	expect(one.errors).toEqual([]);
});
