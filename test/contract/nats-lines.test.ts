/** What becomes of what waits: in a line for its turn, for an answer, for a connection; on one real nats-server. */
import { expect, test, vi } from "vitest";
import { createSubjects } from "../../lambda/layer/src/transports/nats/subjects.ts";
import { isLive, LATE, never, numbersIn, readAll, upTo, useNats } from "../support/nats-bench.ts";
import { envelopeOf, topic } from "../support/nats-fleet.ts";
import { freePort } from "../support/ports.ts";
import { openGate } from "../support/tcp-gate.ts";

const bench = useNats();
const { prefix, instance, tampered } = bench;

test("[P2] a batch that was given up while it waited in line is not sent behind what was published since", async () => {
	const link = await tampered();
	const sender = await instance({ prefix: prefix(), partitions: 1, connection: link.nc });
	const batchOf = (id: string) => upTo(2).map((n) => envelopeOf(topic(id), n));
	// As many atomic batches as may be open in a partition, and no acknowledgement.
	link.arrives = ({ subject }) => isLive(subject);
	const how = { mayExist: false };
	const open = upTo(24).map((n) => sender.transport.publish(topic(`other-${n}`), batchOf(`other-${n}`), how, never));
	const gone = new AbortController();
	const givenUp = sender.transport.publish(topic("a"), batchOf("a"), how, gone.signal);
	gone.abort();
	const next = sender.transport.publish(topic("a"), [envelopeOf(topic("a"), 3)], how, never);
	await Promise.all(open);
	link.arrives = () => true;
	await next;
	expect(await givenUp).toMatchObject(Array(2).fill({ ok: false, uncertain: false, error: { code: "Aborted" } }));
	expect(numbersIn(await readAll(sender, topic("a")))).toEqual([3]);
});

test("[P1] who only publishes says the epoch of the log that took it, also when that was made anew in an outage", async () => {
	const shared = { prefix: prefix(), partitions: 1 };
	const gate = await openGate(Number(new URL(bench.urls[0] as string).port));
	bench.defer(() => gate.close());
	const sender = await instance({ ...shared, servers: `nats://127.0.0.1:${gate.port}` });
	const other = await instance(shared);
	await sender.publish(topic("a"), 1);
	const server = gate.target;
	gate.target = await freePort();
	for (const connection of gate.connections) connection.cut();
	const { real } = await tampered();
	await real.request(`$JS.API.STREAM.DELETE.${shared.prefix}-0`);
	// Further than the old log was: its sequences tell nothing.
	for (const n of upTo(10)) await other.publish(topic("a"), n);
	gate.target = server;
	const outcome = await sender.publish(topic("a"), 11);
	const [end] = await other.transport.ends([topic("a")], never);
	expect(outcome).toMatchObject({ ok: true, position: end });
});

test("[P7] a partition that does not answer is told of once, until it does", async () => {
	const shared = { prefix: prefix(), partitions: 2, requestTimeoutMs: 300 };
	const link = await tampered();
	const follower = await instance({ ...shared, connection: link.nc });
	const subjects = createSubjects(shared.prefix, 2);
	const inPartition = (wanted: number) =>
		upTo(100)
			.map((n) => topic(`t${n}`))
			.find((channel) => subjects.of(channel).partition === wanted) as ReturnType<typeof topic>;
	const channels = [inPartition(0), inPartition(1)];
	const outage = async () => {
		link.arrives = (message) => !message.string().includes(`"name":"${subjects.stream(0)}"`);
		for (const _time of upTo(4)) {
			expect(await follower.transport.ends(channels, never)).toEqual([undefined, expect.anything()]);
		}
		link.arrives = () => true;
		expect(await follower.transport.ends(channels, never)).toEqual([expect.anything(), expect.anything()]);
	};
	await outage();
	expect(follower.errors).toHaveLength(1);
	await outage();
	expect(follower.errors).toHaveLength(2);
});

test("[P6] an answer about many channels is bounded in bytes, however large their last messages are", async () => {
	const shared = { prefix: prefix(), partitions: 1 };
	const sender = await instance(shared);
	const channels = upTo(60).map((n) => topic(`large-${n}`));
	const text = "x".repeat(100_000);
	for (const channel of channels) {
		const envelope = envelopeOf(channel, 1);
		const message = { ...envelope.message, params: { n: 1, text } };
		expect(await sender.publisher.publish({ ...envelope, message })).toMatchObject({ ok: true });
	}
	const link = await tampered();
	const follower = await instance({ ...shared, connection: link.nc });
	const answers = new Map<string, number>();
	link.arrives = ({ subject, data }) => {
		if (!isLive(subject)) answers.set(subject, (answers.get(subject) ?? 0) + data.length);
		return true;
	};
	const streams = await Promise.all(channels.map((channel) => follower.open(channel)));
	expect(Math.max(...answers.values())).toBeLessThan(2 * 1024 * 1024);
	// And the leader need not be asked for each.
	expect(link.asked.filter((subject) => subject.includes(".MSG.GET.")).length).toBeLessThan(10);
	for (const channel of channels) await sender.publish(channel, 2);
	await vi.waitFor(() => expect(streams.filter(({ numbers }) => numbers.length !== 1)).toEqual([]), LATE);
	expect(streams.flatMap(({ marks }) => marks)).toEqual([]);
});

test("[P3] a limit that was lowered while instances run is the one that losses are told by", async () => {
	const shared = { prefix: prefix(), partitions: 1 };
	const { publish, ...rest } = await instance(shared);
	await publish(topic("a"), 1);
	const [first] = (await readAll({ publish, ...rest }, topic("a"))).entries;
	const { real } = await tampered();
	const ask = async (verb: string, body = "") =>
		(await real.request(`$JS.API.STREAM.${verb}.${shared.prefix}-0`, body)).json<{ config: object; error?: unknown }>();
	const { config } = await ask("INFO");
	expect((await ask("UPDATE", JSON.stringify({ ...config, max_msgs_per_subject: 3 }))).error).toBeUndefined();
	for (const n of [2, 3, 4, 5, 6]) await publish(topic("a"), n);
	const page = await readAll({ publish, ...rest }, topic("a"), first?.position);
	expect([page.verdict, numbersIn(page)]).toEqual(["retention", [4, 5, 6]]);
});
