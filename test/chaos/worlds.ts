/** The brokers that a chaos run can stand on, each with what can happen to it. Every instance has links of its own. */

import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { createSubjects } from "../../lambda/layer/src/transports/nats/subjects.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import type { Random } from "../support/random.ts";
import { startValkeyServer } from "../support/valkey.ts";
import { natsSplitter, respSplitter, type Splitter } from "./frames.ts";
import type { FleetOptions } from "./instance.ts";
import { type Link, openLink } from "./link.ts";
import { type StoredTwice, storedTwiceInNats, storedTwiceInValkey } from "./stored.ts";

export interface Broker {
	readonly name: string;
	kill(): Promise<void>;
	start(): Promise<void>;
	freeze(): void;
	thaw(): void;
}

export interface World {
	readonly name: WorldName;
	/** A killed broker has forgotten its logs when it is back. */
	readonly forgets: boolean;
	/** Brokers' ports, and the options of an instance that reaches them at these ports instead. */
	readonly ports: readonly number[];
	options(ports: readonly number[]): FleetOptions;
	readonly splitter: () => Splitter;
	/** The one whose loss hurts most just now. */
	leader(random: Random): Promise<Broker>;
	/** The part of the log that a session is in: each part has a leader of its own. */
	partOf(namespace: string, session: string): number;
	/** What the logs hold more than once. */
	storedTwice(): Promise<StoredTwice[]>;
	stop(): Promise<void>;
}

export const WORLD_NAMES = ["nats-r3", "nats-memory", "valkey-aof", "valkey-memory"] as const;
export type WorldName = (typeof WORLD_NAMES)[number];

const PREFIX = "fanout";
const PARTITIONS = 4;

export function openWorld(name: WorldName): Promise<World> {
	if (name === "nats-r3") return natsWorld(name, 3);
	if (name === "nats-memory") return natsWorld(name, 1);
	return valkeyWorld(name);
}

interface StreamDetail {
	readonly name: string;
	readonly cluster?: { readonly leader?: string };
}

interface Jsz {
	readonly account_details?: readonly { readonly stream_detail?: readonly StreamDetail[] }[];
}

/** The node that leads one of the partition streams, as any node that answers says. */
async function leaderOf({ nodes }: NatsServers, stream: string): Promise<string | undefined> {
	for (const node of nodes) {
		const found = (await node.monitor("/jsz?accounts=1&streams=1").catch(() => undefined)) as Jsz | undefined;
		const streams = found?.account_details?.flatMap(({ stream_detail }) => stream_detail ?? []) ?? [];
		const leader = streams.find(({ name }) => name === stream)?.cluster?.leader;
		if (leader !== undefined && leader !== "") return leader;
	}
	return undefined;
}

async function natsWorld(name: WorldName, size: 1 | 3): Promise<World> {
	// Else the servers tell clients one another's real addresses, and the links are bypassed.
	const servers = await startNatsServers(size, ["--no_advertise=true"]);
	const subjects = createSubjects(PREFIX, PARTITIONS);
	const shared = size === 3 ? { replicas: 3, storage: "file" as const } : { storage: "memory" as const };
	return {
		name,
		forgets: size === 1,
		ports: servers.urls.map((url) => Number(new URL(url).port)),
		options: (ports) => ({
			nats: {
				servers: ports.map((port) => `nats://127.0.0.1:${port}`),
				prefix: PREFIX,
				partitions: PARTITIONS,
				...shared,
			},
		}),
		splitter: () => natsSplitter(PREFIX),
		async leader(random) {
			const leader = await leaderOf(servers, `${PREFIX}-${random.below(PARTITIONS)}`);
			return servers.nodes.find((node) => node.name === leader) ?? random.pick(servers.nodes);
		},
		partOf: (namespace, session) => subjects.of(createChannel("session", session, { namespace })).partition,
		storedTwice: () => storedTwiceInNats(servers.urls),
		stop: () => servers.stop(),
	};
}

async function valkeyWorld(name: WorldName): Promise<World> {
	const forgets = name === "valkey-memory";
	const args = forgets ? [] : ["--appendonly", "yes", "--appendfsync", "always"];
	const server = await startValkeyServer({ args });
	let pid = 0;
	const pidNow = async () => Number(/process_id:(\d+)/.exec(await server.admin.info("server"))?.[1]);
	pid = await pidNow();
	const broker: Broker = {
		name: "valkey",
		kill: () => server.kill(),
		async start() {
			await server.start();
			pid = await pidNow();
		},
		freeze: () => void process.kill(pid, "SIGSTOP"),
		thaw: () => void process.kill(pid, "SIGCONT"),
	};
	return {
		name,
		forgets,
		ports: [server.port],
		options: ([port]) => ({ redis: { url: `redis://127.0.0.1:${port}`, prefix: PREFIX, partitions: PARTITIONS } }),
		splitter: respSplitter,
		leader: async () => broker,
		partOf: () => 0,
		storedTwice: () => storedTwiceInValkey(server),
		stop: () => server.stop(),
	};
}

/** An instance's own way to the world's brokers. */
export async function openLinks(world: World, random: Random): Promise<readonly Link[]> {
	return Promise.all(world.ports.map((target) => openLink({ target, random, splitter: world.splitter })));
}
