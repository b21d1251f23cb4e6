/** `fanout.sessions` on what the configured transport keeps: the connection that it dials itself, of every kind. */

import { createFanout, type Fanout, type FanoutOptions } from "mcp-fanout";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { SessionChange } from "../../lambda/layer/src/sessions/port.ts";
import { startNats, startValkey } from "../support/broker.ts";
import { waitFor } from "../support/proc.ts";
import { MASTER_NAME, startSentinelGroup, startValkeyCluster, type ValkeyServer } from "../support/valkey.ts";

interface Place {
	readonly options: FanoutOptions;
	stop(): Promise<void>;
}

const at = ({ host, port }: ValkeyServer) => ({ host, port });
const ROWS: Readonly<Record<string, () => Promise<Place>>> = {
	async nats() {
		const { url, stop } = await startNats();
		return { options: { nats: { servers: url, partitions: 2 } }, stop };
	},
	async redis() {
		const { url, stop } = await startValkey();
		return { options: { redis: { url } }, stop };
	},
	async Sentinel() {
		const { sentinels, stop } = await startSentinelGroup();
		return { options: { redis: { sentinel: { name: MASTER_NAME, nodes: sentinels.map(at) } } }, stop };
	},
	async cluster() {
		const { primaries, stop } = await startValkeyCluster();
		return { options: { redis: { cluster: { nodes: primaries.map(at) } } }, stop };
	},
};

describe.each(Object.entries(ROWS))("%s", (name, start) => {
	let place: Place | undefined;
	const fanouts: Fanout[] = [];
	beforeAll(async () => {
		place = await start();
		for (let n = 0; n < 2; n += 1) {
			fanouts.push(await createFanout({ ...place.options, namespace: "sessions", registry: { leaseMs: 3_000 } }));
		}
	}, 60_000);
	afterAll(async () => {
		await Promise.all(fanouts.map((fanout) => fanout.close()));
		await place?.stop();
	});

	test("[P8] [P9] a session is one instance's, told to who watches, and given over by a drain", async () => {
		const [a, b] = fanouts as [Fanout, Fanout];
		const session = createChannel("session", "one", { namespace: "sessions" });
		const registry = await b.sessions.registry();
		expect(registry.name).toBe(name === "nats" ? "nats" : "redis");
		const changes: SessionChange[] = [];
		const watch = await registry.watch(session.tenant, {
			change: (change) => void changes.push(change),
			suspect: () => {},
		});
		const { hold } = await a.sessions.claim(session, { principal: "ann", state: { step: 1 } });
		await waitFor("the claim is told", async () => changes.length > 0, { deadlineMs: 10_000 });
		expect(changes[0]?.record).toMatchObject({ owner: { instance: a.instanceId }, state: { step: 1 } });
		await expect(b.sessions.claim(session, { principal: "ann" })).rejects.toMatchObject({ code: "Conflict" });
		await a.drain({ graceMs: 2_000 });
		const { record } = await b.sessions.claim(session, { principal: "ann" });
		expect(record).toMatchObject({ epoch: 2, owner: { instance: b.instanceId }, state: { step: 1 } });
		await expect(hold.update({ state: {} })).rejects.toMatchObject({ code: "NotOwner" });
		expect(await registry.count(session.tenant)).toBe(1);
		await watch.close();
	});
});
