/** Three real nodes: leaders killed -9, nodes restarted with nothing, replicas behind. Each history was measured first. */
import { connect } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { type NatsNode, type NatsServers, startNatsServers } from "../support/nats.ts";
import { type Instance, startInstance, topic } from "../support/nats-fleet.ts";

let servers: NatsServers;
let count = 0;
const open: (() => Promise<void>)[] = [];
const LATE = { timeout: 20_000, interval: 50 };
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, index) => from + index);

beforeAll(async () => {
	servers = await startNatsServers(3);
});
afterAll(() => servers?.stop());
afterEach(async () => {
	for (const close of open.splice(0).reverse()) await close();
});

async function instance(options: NatsOptions): Promise<Instance> {
	const started = await startInstance({
		servers: servers.urls,
		storage: "file",
		replicas: 3,
		partitions: 1,
		...options,
	});
	open.push(() => started.close());
	return started;
}

const prefix = () => `p${++count}`;

/** The node that leads a stream. */
async function leaderOf(stream: string): Promise<NatsNode> {
	const nc = await connect({ servers: servers.urls });
	try {
		const info = await nc.request(`$JS.API.STREAM.INFO.${stream}`, "", { timeout: 5_000 });
		const { cluster } = info.json<{ cluster: { leader: string } }>();
		return servers.nodes.find(({ name }) => name === cluster.leader) as NatsNode;
	} finally {
		await nc.close();
	}
}

const othersThan = (node: NatsNode) => servers.nodes.filter((other) => other !== node).map(({ url }) => url);

test("[P1] [P2] [P3] [P4] a leader killed -9 while publishers retry: all that was accepted, in order, once, quiet channels too", async () => {
	const shared = prefix();
	const publishers = [await instance({ prefix: shared }), await instance({ prefix: shared })];
	const leader = await leaderOf(`${shared}-0`);
	const survivor = await instance({ prefix: shared, servers: othersThan(leader) });
	const busy = upTo(8).map((n) => topic(`busy-${n}`));
	const streams = await Promise.all(busy.map((channel) => survivor.open(channel)));
	const quiet = upTo(300).map((n) => topic(`quiet-${n}`));
	const quietStreams = await Promise.all(quiet.map((channel) => survivor.open(channel)));

	const accepted = new Map<number, number[]>(busy.map((_, index) => [index, []]));
	let done = false;
	const publishing = busy.map(async (channel, index) => {
		const by = publishers[index % 2] as Instance;
		for (let n = 1; !done; n += 1) {
			const outcome = await by.publish(channel, n);
			expect(outcome).toMatchObject({ ok: true });
			accepted.get(index)?.push(n);
		}
	});
	// One message each, spread over the time around the kill: none has a successor that would show a hole.
	const once = quiet.map(async (channel, index) => {
		await new Promise((resolve) => setTimeout(resolve, index * 4));
		return (publishers[index % 2] as Instance).publish(channel, 1);
	});
	await new Promise((resolve) => setTimeout(resolve, 600));
	await leader.kill();
	expect((await Promise.all(once)).filter(({ ok }) => !ok)).toEqual([]);
	done = true;
	await Promise.all(publishing);

	await vi.waitFor(() => expect(quietStreams.filter(({ numbers }) => numbers.length !== 1)).toEqual([]), LATE);
	for (const [index, stream] of streams.entries()) {
		await vi.waitFor(() => expect(stream.numbers).toEqual(accepted.get(index)), LATE);
	}
	expect([...streams, ...quietStreams].flatMap(({ marks }) => marks)).toEqual([]);
	await leader.start();
}, 60_000);

test("[P3] a memory stream whose node restarts is another log: streams and cursors are told `epoch`, none is silent", async () => {
	const shared = { prefix: prefix(), storage: "memory", replicas: 1 } as const;
	const first = await instance(shared);
	const leader = await leaderOf(`${shared.prefix}-0`);
	const servers = othersThan(leader);
	const [publisher, follower] = [await instance({ ...shared, servers }), await instance({ ...shared, servers })];
	await first.close();
	const [busy, quiet] = [topic("busy"), topic("quiet")];
	const streams = [await follower.open(busy), await follower.open(quiet)];
	for (const n of upTo(100)) await publisher.publish(busy, n);
	await publisher.publish(quiet, 1);
	await vi.waitFor(() => expect(streams.map(({ numbers }) => numbers.length)).toEqual([100, 1]), LATE);
	const [cursor = ""] = streams.map((stream) => stream.cursor);
	await leader.kill();
	await leader.start();
	const outcomes = await Promise.all(upTo(300, 101).map((n) => publisher.publish(busy, n)));
	expect(outcomes.filter(({ ok }) => !ok)).toEqual([]);
	await vi.waitFor(() => expect(streams.map(({ marks }) => marks)).toEqual([["epoch"], ["epoch"]]), LATE);
	const [stream] = streams;
	await vi.waitFor(() => expect(stream?.numbers.slice(-200)).toEqual(upTo(300, 101)), LATE);
	const resumed = await (await instance({ ...shared, servers })).open(busy, cursor);
	await vi.waitFor(() => expect(resumed.marks).toEqual(["epoch"]), LATE);
	await vi.waitFor(() => expect(resumed.numbers).toEqual(upTo(300, 101)), LATE);
}, 60_000);

test("[P3] followed on one node, published through another, read from any: nothing is missing, nothing is told", async () => {
	const shared = { prefix: prefix(), storage: "memory" } as const;
	const fleet = await Promise.all(servers.nodes.map(({ url }) => instance({ ...shared, servers: url })));
	for (const round of upTo(60)) {
		const channel = topic(`round-${round}`);
		const [one, two, three] = fleet as [Instance, Instance, Instance];
		// Interest reaches the other nodes a moment after the subscription stands: what is lost then has to be found.
		const live = await one.open(channel);
		await Promise.all(upTo(5).map((n) => two.publish(channel, n)));
		const resumed = await three.open(channel, live.cursor);
		for (const n of upTo(8, 6)) await two.publish(channel, n);
		for (const stream of [live, resumed]) {
			await vi.waitFor(() => expect(stream.numbers.at(-1)).toBe(8), LATE);
			expect(stream.numbers).toEqual(upTo(8, 9 - stream.numbers.length));
			expect(stream.marks).toEqual([]);
		}
		expect(live.numbers).toHaveLength(8);
		live.close();
		resumed.close();
	}
}, 60_000);

test("[P7] every node gone and back: publishers wait no longer than their deadline, and all is well again without a restart", async () => {
	const shared = prefix();
	const both = await instance({ prefix: shared });
	const stream = await both.open(topic("a"));
	await both.publish(topic("a"), 1);
	for (const node of servers.nodes) await node.kill();
	const waiting = both.publish(topic("a"), 2);
	await Promise.all(servers.nodes.map((node) => node.start()));
	expect(await waiting).toMatchObject({ ok: true, durability: "replicated", reach: "fleet" });
	await vi.waitFor(() => expect(stream.numbers).toEqual([1, 2]), LATE);
	expect(stream.marks).toEqual([]);
}, 90_000);
