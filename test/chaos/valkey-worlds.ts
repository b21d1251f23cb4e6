/**
 * Worlds of Valkey servers: one with or without a file, a primary with a replica under Sentinels, a cluster whose
 * primaries have a replica each. Replication is asynchronous: a replica that takes over may lack what was acknowledged.
 */
import { holdStill } from "../support/hold-still.ts";
import { waitFor } from "../support/proc.ts";
import {
	MASTER_NAME,
	pidOf,
	startSentinelGroup,
	startValkeyCluster,
	startValkeyServer,
	type ValkeyServer,
} from "../support/valkey.ts";
import { respSplitter } from "./frames.ts";
import { storedTwiceInValkey } from "./stored.ts";
import { type Broker, PARTITIONS, PREFIX, type World, type WorldName } from "./world.ts";

/** Sentinels wait for 8 s before they make a primary that came back a replica. */
const SETTLE_DEADLINE_MS = 40_000;
const HOST = "127.0.0.1";
const log = { prefix: PREFIX, partitions: PARTITIONS };

async function brokerOf(server: ValkeyServer): Promise<Broker> {
	const pid = await pidOf(server.admin);
	return {
		name: `valkey ${server.port}`,
		kill: () => server.kill(),
		start: () => server.start(),
		freeze: () => holdStill(pid),
		thaw: () => void process.kill(pid, "SIGCONT"),
	};
}

export async function valkeyWorld(name: WorldName, forgets: boolean): Promise<World> {
	const args = forgets ? [] : ["--appendonly", "yes", "--appendfsync", "always"];
	const server = await startValkeyServer({ args });
	return {
		name,
		forgets,
		ports: [server.port],
		options: ([port]) => ({ redis: { url: `redis://${HOST}:${port}`, ...log } }),
		splitter: respSplitter,
		leader: () => brokerOf(server),
		partOf: () => 0,
		storedTwice: () => storedTwiceInValkey([server]),
		stop: () => server.stop(),
	};
}

const replicationOf = async ({ admin }: ValkeyServer) => admin.info("replication");
const isPrimary = (text: string) => text.includes("role:master");

async function primariesOf(servers: readonly ValkeyServer[]): Promise<ValkeyServer[]> {
	const roles = await Promise.all(servers.map(replicationOf));
	return servers.filter((_, index) => isPrimary(roles[index] as string));
}

/** So many primaries, and every other server in step with one. */
async function inStep(servers: readonly ValkeyServer[], primaries: number): Promise<void> {
	const look = async () => {
		const texts = await Promise.all(servers.map(replicationOf));
		const replicas = texts.filter((text) => !isPrimary(text));
		if (texts.length - replicas.length !== primaries) return false;
		return replicas.every((text) => text.includes("master_link_status:up"));
	};
	await waitFor("every server has its place", look, { deadlineMs: SETTLE_DEADLINE_MS, everyMs: 100 });
}

/** Links stand before the Sentinels; the servers that these name are reached without. */
export async function sentinelWorld(name: WorldName): Promise<World> {
	const group = await startSentinelGroup();
	const servers = [group.primary, ...group.replicas];
	return {
		name,
		forgets: false,
		mayLose: true,
		ports: group.sentinels.map(({ port }) => port),
		options: (ports) => ({
			redis: { sentinel: { name: MASTER_NAME, nodes: ports.map((port) => ({ host: HOST, port })) }, ...log },
		}),
		splitter: respSplitter,
		async leader() {
			await inStep(servers, 1);
			return brokerOf(await group.current());
		},
		settled: () => inStep(servers, 1),
		partOf: () => 0,
		storedTwice: async () => storedTwiceInValkey(await primariesOf(servers)),
		stop: () => group.stop(),
	};
}

export async function clusterWorld(name: WorldName): Promise<World> {
	const { primaries, replicas, stop } = await startValkeyCluster(true);
	const servers = [...primaries, ...replicas];
	const settled = () => inStep(servers, primaries.length);
	return {
		name,
		forgets: false,
		mayLose: true,
		ports: servers.map(({ port }) => port),
		options(ports) {
			const nodes = ports.map((port) => ({ host: HOST, port }));
			const nat = Object.fromEntries(servers.map(({ port }, index) => [`${HOST}:${port}`, nodes[index] as never]));
			return { redis: { cluster: { nodes, nat }, ...log } };
		},
		splitter: respSplitter,
		async leader(random) {
			await settled();
			return brokerOf(random.pick(await primariesOf(servers)));
		},
		settled,
		partOf: () => 0,
		storedTwice: async () => storedTwiceInValkey(await primariesOf(servers)),
		stop,
	};
}
