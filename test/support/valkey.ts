/**
 * Valkey as it is run: one server (in memory or with its append-only file), a primary with replicas under Sentinels, a
 * cluster of primaries with or without replicas. Each server can be killed, paused and started again on its port.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { freePorts } from "./ports.ts";
import { type Proc, startProc, waitFor } from "./proc.ts";
import { silent } from "./progress.ts";
import { CHILD_PATH } from "./root.ts";
import { valkeyCommand } from "./servers.ts";

const DEADLINE_MS = 20_000;
const HOST = "127.0.0.1";

export interface ValkeyServer {
	readonly host: string;
	readonly port: number;
	readonly url: string;
	readonly dir: string;
	/** A connection of the test's own; closed with the server. */
	readonly admin: Redis;
	start(): Promise<void>;
	/** Ends the process at once, as a crash does; its files stay. */
	kill(): Promise<void>;
	stop(): Promise<void>;
}

export interface ServerOptions {
	readonly args?: readonly string[];
	/** Lines of a configuration file of its own, which the server may rewrite. */
	readonly config?: readonly string[];
	readonly sentinel?: boolean;
	readonly port?: number;
}

export async function startValkeyServer(options: ServerOptions = {}): Promise<ValkeyServer> {
	const dir = await mkdtemp(join(tmpdir(), "mcp-fanout-valkey-"));
	const [port = 0] = options.port === undefined ? await freePorts(1) : [options.port];
	const { command, args } = await valkeyCommand(silent);
	const conf = join(dir, "server.conf");
	await writeFile(conf, (options.config ?? []).map((line) => `${line}\n`).join(""));
	const own = ["--bind", HOST, "--port", String(port), "--dir", dir];
	const all = options.sentinel
		? [...args, conf, "--sentinel", ...own]
		: [...args, conf, ...own, "--save", "", ...(options.args ?? [])];
	let proc: Proc | undefined;
	let admin: Redis | undefined;
	const server: ValkeyServer = {
		host: HOST,
		port,
		url: `redis://${HOST}:${port}`,
		dir,
		get admin() {
			admin ??= new Redis(port, HOST, { retryStrategy: () => 50, maxRetriesPerRequest: null });
			if (admin.listenerCount("error") === 0) admin.on("error", () => undefined);
			return admin;
		},
		async start() {
			const env = { PATH: CHILD_PATH, HOME: dir, TMPDIR: dir, LANG: "C.UTF-8" };
			proc = startProc({ name: `valkey ${port}`, command, args: all, cwd: dir, env, logFile: join(dir, "server.log") });
			await waitFor(`valkey answers on ${port}`, () => answers(port), { deadlineMs: DEADLINE_MS, everyMs: 20, proc });
		},
		async kill() {
			const pid = await pidOf(server.admin);
			process.kill(pid, "SIGKILL");
			await proc?.stop();
		},
		async stop() {
			admin?.disconnect();
			admin = undefined;
			await proc?.stop();
			await rm(dir, { recursive: true, force: true });
		},
	};
	await server.start();
	return server;
}

export async function pidOf(admin: Redis): Promise<number> {
	return Number(/process_id:(\d+)/.exec(await admin.info("server"))?.[1]);
}

/** A line and its answer, without a client. */
function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, HOST, () => socket.write("PING\r\n"));
		socket.setTimeout(1_000, () => socket.destroy());
		socket.on("data", (chunk) => {
			resolve(String(chunk).startsWith("+PONG"));
			socket.destroy();
		});
		socket.on("error", () => resolve(false));
		socket.on("close", () => resolve(false));
	});
}

export const MASTER_NAME = "fanout";

export interface SentinelGroup {
	readonly primary: ValkeyServer;
	readonly replicas: readonly ValkeyServer[];
	readonly sentinels: readonly ValkeyServer[];
	/** The server that the Sentinels name now. */
	current(): Promise<ValkeyServer>;
	stop(): Promise<void>;
}

export async function startSentinelGroup(replicaCount = 1): Promise<SentinelGroup> {
	const args = ["--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"];
	const primary = await startValkeyServer({ args });
	const replicas = await Promise.all(
		Array.from({ length: replicaCount }, () =>
			startValkeyServer({ args: [...args, "--replicaof", HOST, String(primary.port)] }),
		),
	);
	const linked = async () => (await primary.admin.info("replication")).includes(`connected_slaves:${replicaCount}`);
	await waitFor("replicas follow the primary", linked, { deadlineMs: DEADLINE_MS });
	for (const replica of replicas) {
		const synced = async () => (await replica.admin.info("replication")).includes("master_link_status:up");
		await waitFor("a replica is in sync", synced, { deadlineMs: DEADLINE_MS });
	}
	const config = [
		`sentinel monitor ${MASTER_NAME} ${HOST} ${primary.port} 2`,
		`sentinel down-after-milliseconds ${MASTER_NAME} 500`,
		`sentinel failover-timeout ${MASTER_NAME} 2000`,
	];
	const sentinels = await Promise.all([1, 2, 3].map(() => startValkeyServer({ sentinel: true, config })));
	for (const { admin } of sentinels) {
		const ready = async () => {
			const text = String(await admin.call("SENTINEL", "CKQUORUM", MASTER_NAME));
			const known = (await admin.call("SENTINEL", "REPLICAS", MASTER_NAME)) as unknown[];
			return text.startsWith("OK 3") && known.length === replicaCount;
		};
		await waitFor("Sentinels know one another and the replicas", ready, { deadlineMs: DEADLINE_MS });
	}
	const servers = [primary, ...replicas];
	return {
		primary,
		replicas,
		sentinels,
		async current() {
			const { admin } = sentinels[0] as ValkeyServer;
			const [, port] = (await admin.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER_NAME)) as string[];
			return servers.find((server) => server.port === Number(port)) as ValkeyServer;
		},
		async stop() {
			await Promise.all([...sentinels, ...servers].map((server) => server.stop()));
		},
	};
}

export interface ValkeyCluster {
	readonly primaries: readonly ValkeyServer[];
	/** One of each primary, when asked for. */
	readonly replicas: readonly ValkeyServer[];
	stop(): Promise<void>;
}

export async function startValkeyCluster(withReplicas = false): Promise<ValkeyCluster> {
	const args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"];
	const count = withReplicas ? 6 : 3;
	// Left alone the bus takes the port plus 10,000, which an outgoing connection may have.
	const ports = await freePorts(2 * count);
	const busPorts = ports.slice(count);
	const servers = await Promise.all(
		busPorts.map((bus, index) =>
			startValkeyServer({ port: ports[index] as number, args: [...args, "--cluster-port", String(bus)] }),
		),
	);
	const [first, ...others] = servers as [ValkeyServer, ...ValkeyServer[]];
	for (const [index, { admin }] of servers.slice(0, 3).entries()) {
		const [from, to] = [Math.floor((index * 16_384) / 3), Math.floor(((index + 1) * 16_384) / 3) - 1];
		await admin.call("CLUSTER", "ADDSLOTSRANGE", from, to);
	}
	for (const [index, { host, port }] of others.entries()) {
		await first.admin.call("CLUSTER", "MEET", host, port, busPorts[index + 1] as number);
	}
	const all = async (look: (text: string) => boolean) => {
		const texts = await Promise.all(servers.map(({ admin }) => admin.call("CLUSTER", "INFO").then(String)));
		return texts.every(look);
	};
	const met = () => all((text) => text.includes(`cluster_known_nodes:${count}`));
	await waitFor("the nodes know one another", met, { deadlineMs: DEADLINE_MS });
	for (const [index, { admin }] of servers.slice(3).entries()) {
		const id = String(await (servers[index] as ValkeyServer).admin.call("CLUSTER", "MYID"));
		const follow = async () => (await admin.call("CLUSTER", "REPLICATE", id)) === "OK";
		await waitFor("a replica knows its primary", follow, { deadlineMs: DEADLINE_MS });
		const synced = async () => (await admin.info("replication")).includes("master_link_status:up");
		await waitFor("a replica is in sync", synced, { deadlineMs: DEADLINE_MS });
	}
	await waitFor("the cluster is up", () => all((text) => text.includes("cluster_state:ok")), {
		deadlineMs: DEADLINE_MS,
	});
	return {
		primaries: servers.slice(0, 3),
		replicas: servers.slice(3),
		async stop() {
			await Promise.all(servers.map((server) => server.stop()));
		},
	};
}

/** Moves a slot with its keys, as resharding tools do it. */
export async function moveSlot(
	cluster: ValkeyCluster,
	from: ValkeyServer,
	to: ValkeyServer,
	slot: number,
): Promise<void> {
	const [fromId, toId] = await Promise.all([from, to].map(({ admin }) => admin.call("CLUSTER", "MYID").then(String)));
	await to.admin.call("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId as string);
	await from.admin.call("CLUSTER", "SETSLOT", slot, "MIGRATING", toId as string);
	for (;;) {
		const names = (await from.admin.call("CLUSTER", "GETKEYSINSLOT", slot, 100)) as string[];
		if (names.length === 0) break;
		await from.admin.call("MIGRATE", to.host, to.port, "", 0, 5_000, "KEYS", ...names);
	}
	const others = cluster.primaries.filter((server) => server !== to);
	for (const { admin } of [to, ...others]) await admin.call("CLUSTER", "SETSLOT", slot, "NODE", toId as string);
}
