/** Worlds of NATS servers: one, or a cluster of three. */
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { createSubjects } from "../../lambda/layer/src/transports/nats/subjects.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import { natsSplitter } from "./frames.ts";
import { storedTwiceInNats } from "./stored.ts";
import { PARTITIONS, PREFIX, type World, type WorldName } from "./world.ts";

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

export async function natsWorld(name: WorldName, size: 1 | 3, storage: "file" | "memory"): Promise<World> {
	// Else the servers tell clients one another's real addresses, and the links are bypassed.
	const servers = await startNatsServers(size, ["--no_advertise=true"]);
	const subjects = createSubjects(PREFIX, PARTITIONS);
	return {
		name,
		forgets: storage === "memory",
		ports: servers.urls.map((url) => Number(new URL(url).port)),
		options: (ports) => ({
			nats: {
				servers: ports.map((port) => `nats://127.0.0.1:${port}`),
				prefix: PREFIX,
				partitions: PARTITIONS,
				replicas: size,
				storage,
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
