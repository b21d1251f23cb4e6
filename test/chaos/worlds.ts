/** Opens a world by its name, and the links of an instance to it. */
import type { Random } from "../support/random.ts";
import { type Link, openLink } from "./link.ts";
import { natsWorld } from "./nats-worlds.ts";
import { clusterWorld, sentinelWorld, valkeyWorld } from "./valkey-worlds.ts";
import type { World, WorldName } from "./world.ts";

/** Short enough for a run: a lane that came back is tried again soon. */
const BREAKER = { openMs: 500, maxOpenMs: 1_500 } as const;

/** Much shorter than a lane is dead: what waits for it is queued meanwhile, and shown early. */
const PATIENCE_MS = 1_000;

export function openWorld(name: WorldName): Promise<World> {
	switch (name) {
		case "nats-r3":
			return natsWorld(name, 3, "file");
		case "nats-memory":
			return natsWorld(name, 1, "memory");
		case "valkey-sentinel":
			return sentinelWorld(name);
		case "valkey-cluster":
			return clusterWorld(name);
		case "two-lanes":
			return twoLanes(name);
		default:
			return valkeyWorld(name, name === "valkey-memory");
	}
}

/** NATS and Valkey side by side: an envelope enters both, and client streams show it from the first. */
async function twoLanes(name: WorldName): Promise<World> {
	const nats = await natsWorld(name, 1, "file");
	const valkey = await valkeyWorld(name, false);
	const { length } = nats.ports;
	let troubles = 0;
	return {
		name,
		forgets: false,
		ports: [...nats.ports, ...valkey.ports],
		options: (ports) => ({
			...nats.options(ports.slice(0, length)),
			...valkey.options(ports.slice(length)),
			breaker: BREAKER,
			timeoutMs: PATIENCE_MS,
		}),
		splitter: (index) => (index < length ? nats : valkey).splitter(index),
		// By turns: the first lane is the one that streams are shown from.
		leader: (random) => (troubles++ % 2 === 0 ? nats : valkey).leader(random),
		partOf: nats.partOf,
		storedTwice: async () => [...(await nats.storedTwice()), ...(await valkey.storedTwice())],
		async stop() {
			await Promise.all([nats.stop(), valkey.stop()]);
		},
	};
}

/** An instance's own way to the world's brokers. */
export async function openLinks(world: World, random: Random): Promise<readonly Link[]> {
	return Promise.all(
		world.ports.map((target, index) => openLink({ target, random, splitter: () => world.splitter(index) })),
	);
}
