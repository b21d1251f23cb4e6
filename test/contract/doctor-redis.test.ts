/** `fanout doctor` before real Valkey servers: a fleet that is well, and what loses its logs or keeps it from hearing. */
import { createFanout, type FanoutOptions } from "mcp-fanout";
import { afterEach, expect, test, vi } from "vitest";
import { doctor } from "../support/doctor.ts";
import { freePort } from "../support/ports.ts";
import {
	MASTER_NAME,
	startSentinelGroup,
	startValkeyCluster,
	startValkeyServer,
	type ValkeyServer,
} from "../support/valkey.ts";

vi.setConfig({ testTimeout: 120_000 });
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
	for (const stop of open.splice(0).reverse()) await stop();
});

function kept<Server extends { stop(): Promise<void> }>(server: Server): Server {
	open.push(() => server.stop());
	return server;
}

async function server(...args: string[]): Promise<ValkeyServer> {
	return kept(await startValkeyServer({ args }));
}

async function fleet(options: FanoutOptions): Promise<void> {
	const fanout = await createFanout(options);
	open.push(() => fanout.close());
}

// The deadlines are for what never comes, not for a busy machine.
const fileOf = (where: string, more = "") => `
[notification]
timeout_ms = 20000
[notification.registry]
timeout_ms = 20000
[notification.redis]
${where}
connect_timeout_ms = 4000
partitions = 4
${more}`;
const urlOf = ({ url }: ValkeyServer) => `url = "${url}"`;
const nodesOf = (servers: readonly ValkeyServer[]) =>
	JSON.stringify(servers.map(({ host, port }) => `${host}:${port}`));

const AOF = ["--appendonly", "yes", "--appendfsync", "always"];

test("a fleet that is well, and a message that is heard when one is asked for", async () => {
	const one = await server(...AOF);
	await fleet({ redis: { url: one.url, partitions: 4 } });
	const { code, failed, warned, out } = await doctor(fileOf(urlOf(one)), {}, "--round-trip");
	expect([code, failed, warned]).toEqual([0, [], []]);
	const at = `127.0.0.1:${one.port}`;
	expect(out.slice(4)).toEqual([
		expect.stringMatching(
			new RegExp(`^ok {3}redis: redis://${at}: logged in, answers after [\\d.]+ ms; Valkey \\d+\\.\\d+\\.\\d+$`),
		),
		`ok   redis: ${at}: replicas connected: 0`,
		`ok   redis: ${at} evicts nothing`,
		'ok   redis: append-only file on: "accepted" says disk',
		"ok   redis: the log under fanout has 4 partitions",
		expect.stringMatching(/^ok {3}redis: round trip: accepted after [\d.]+ ms \(fleet, disk\), heard after [\d.]+ ms$/),
		expect.stringMatching(/^ok {3}registry: sessions in redis: read after \d+ ms$/),
	]);
});

test("before a server has started it says that there is no log, and makes none", async () => {
	const one = await server(...AOF);
	const { code, failed, warned } = await doctor(fileOf(urlOf(one)));
	expect([code, failed, warned]).toEqual([0, [], ["redis: no log under the prefix fanout"]]);
	expect(await one.admin.dbsize()).toBe(0);
});

test("a policy that evicts logs fails, of whichever kind: they have a time to live", async () => {
	const one = await server("--maxmemory", "200mb", "--maxmemory-policy", "volatile-lru");
	await fleet({ redis: { url: one.url, partitions: 4 } });
	const lasting = await doctor(fileOf(urlOf(one)), {}, "--round-trip");
	expect(lasting.failed).toEqual([
		`redis: 127.0.0.1:${one.port} has maxmemory-policy volatile-lru: it evicts logs when its memory is full`,
	]);
	await one.admin.config("SET", "maxmemory", "0", "maxmemory-policy", "noeviction");
	expect((await doctor(fileOf(urlOf(one)), {}, "--round-trip")).code).toBe(0);
	const logs = await one.admin.keys("*:log:*");
	expect(logs).toHaveLength(1);
	for (const log of logs) expect(await one.admin.pttl(log)).toBeGreaterThan(0);
	await one.admin.config("SET", "maxmemory-policy", "allkeys-lru");
	const unbounded = await doctor(fileOf(urlOf(one)));
	expect([unbounded.code, unbounded.warned[0]]).toEqual([0, expect.stringContaining("allkeys-lru and no maxmemory")]);
	await one.admin.config("SET", "maxmemory", "200mb");
	expect((await doctor(fileOf(urlOf(one)))).failed[0]).toContain("allkeys-lru: it evicts logs");
});

test("acceptances in memory, and replicas that are waited for and not there", async () => {
	const one = await server();
	await fleet({ redis: { url: one.url, partitions: 4 } });
	const { code, warned } = await doctor(fileOf(urlOf(one), "wait_replicas = 2\nwait_timeout_ms = 300\n"));
	expect([code, warned]).toEqual([
		0,
		[
			expect.stringMatching(
				/has 0 replicas and wait_replicas is 2: each write waits 300 ms, and is not said to be replicated$/,
			),
			expect.stringMatching(
				/without an append-only file: "accepted" says replicated, or memory where replicas are late; /,
			),
		],
	]);
});

test("a log with another number of partitions", async () => {
	const one = await server(...AOF);
	await fleet({ redis: { url: one.url, partitions: 8 } });
	const { code, failed } = await doctor(fileOf(urlOf(one)));
	expect([code, failed]).toEqual([1, ["redis: the log under fanout has 8 partitions, not 4"]]);
});

test("nothing that listens, and [P10] a wrong login, without any secret", async () => {
	const port = await freePort();
	const away = await doctor(fileOf(`url = "redis://127.0.0.1:${port}"`));
	expect(away.code).toBe(1);
	expect(away.failed[0]).toMatch(
		/^redis: redis at redis:\/\/127\.0\.0\.1:\d+ was not ready within 4000 ms.*ECONNREFUSED/,
	);
	const one = await server();
	await one.admin.config("SET", "requirepass", "right-s3cret");
	for (const environment of [
		{ FANOUT_REDIS_PASSWORD: "wrong-s3cret" },
		{ FANOUT_REDIS_URL: `redis://:wrong-s3cret@127.0.0.1:${one.port}` },
		{},
	]) {
		const wrong = await doctor(fileOf(urlOf(one)), environment);
		expect(wrong.code).toBe(1);
		expect(wrong.out.join("\n")).toMatch(/fail redis: .* refused the login.* -> check username and password/);
		expect(wrong.out.join("\n")).not.toContain("s3cret");
	}
});

test("another kind of server than the file names: a replica, a cluster's node, none of a cluster", async () => {
	const group = kept(await startSentinelGroup());
	const [replica] = group.replicas as [ValkeyServer];
	const taken = await doctor(fileOf(urlOf(replica)));
	expect([taken.code, taken.failed[0]]).toEqual([
		1,
		`redis: 127.0.0.1:${replica.port} is a replica: it takes no writes`,
	]);
	const sentinels = `sentinels = ${nodesOf(group.sentinels)}\nsentinel_name = "${MASTER_NAME}"`;
	await fleet({
		redis: {
			sentinel: { name: MASTER_NAME, nodes: group.sentinels.map(({ host, port }) => ({ host, port })) },
			partitions: 4,
		},
	});
	const led = await doctor(fileOf(sentinels));
	expect([led.code, led.failed]).toEqual([0, []]);
	expect(led.out.join("\n")).toContain("replicas connected: 1");

	const cluster = kept(await startValkeyCluster());
	const [node] = cluster.primaries as [ValkeyServer];
	const single = await doctor(fileOf(urlOf(node)));
	expect([single.code, single.failed[0]]).toEqual([1, `redis: 127.0.0.1:${node.port} is a node of a cluster`]);
	const whole = await doctor(fileOf(`cluster_nodes = ${nodesOf(cluster.primaries)}`));
	expect([whole.code, whole.failed]).toEqual([0, []]);
	expect(whole.out.join("\n")).toContain("the cluster is ok, 16384 of 16384 slots served by 3 primaries");
	const none = await doctor(fileOf(`cluster_nodes = ${nodesOf([group.primary])}`));
	expect(none.failed[0]).toMatch(/^redis: redis at cluster 127\.0\.0\.1:\d+ was not ready/);
});
