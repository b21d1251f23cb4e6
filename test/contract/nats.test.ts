import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsTransport, type NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";
import { type NatsServers, startNatsServers } from "../support/nats.ts";
import { runContract } from "./map.ts";

const ids = createIds(systemClock);
const eventsPerChannel = 100;

function row(name: string, size: 1 | 3, settings: NatsOptions): void {
	describe(name, () => {
		let servers: NatsServers;
		let count = 0;
		beforeAll(async () => {
			servers = await startNatsServers(size);
		});
		afterAll(() => servers?.stop());
		runContract(name, () => ({
			createTransport: async () => {
				const options = { servers: servers.urls, maxMessagesPerChannel: eventsPerChannel, ...settings };
				return createNatsTransport(options, { clock: systemClock, ids, instanceId: ids.next() });
			},
			namespace: () => `contract-${++count}`,
			limits: { waitMs: 10_000, eventsPerChannel },
			...(settings.jetstream === false ? { bare: true } : { reset: () => loseLogs(servers) }),
		}));
	});
}

/** Every stream empty, with its settings and its age: what a memory stream is after its node restarted. */
async function loseLogs({ urls }: NatsServers): Promise<void> {
	const nc = await connect({ servers: urls });
	const jsm = await jetstreamManager(nc);
	for await (const { config } of jsm.streams.list()) {
		await jsm.streams.delete(config.name);
		await jsm.streams.add(config);
	}
	await nc.close();
}

// One message fills more than a page.
row("nats, one node, in memory", 1, { storage: "memory", maxPayloadBytes: 400 * 1024 });
row("nats, one node, in files", 1, { storage: "file", prefix: "mcp.notifications" });
row("nats, three nodes, replicated in files", 3, { storage: "file", replicas: 3 });
row("nats, core without JetStream", 1, { jetstream: false });
