/**
 * One process of a fleet: owns what it can of one session, and while it may act puts a line into a shared history, by
 * a script that stamps it with the server's order. Arguments: Redis address, store address, instance.
 */
import { Redis } from "ioredis";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { pause, systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsStore } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createOwner } from "../../lambda/layer/src/sessions/owner.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";

export const HISTORY = "history";
export const LEASE_MS = 1_000;

async function main([history = "", url = "", instance = ""]: readonly string[]): Promise<void> {
	const store = url.startsWith("nats:") ? createNatsStore({ connect: { servers: url } }) : createRedisStore({ url });
	const ids = createIds(systemClock);
	const registry = createRegistry({ store, namespace: "processes", clock: systemClock, ids });
	await registry.start();
	const owner = createOwner({ registry, instance, clock: systemClock, random: Math.random, leaseMs: LEASE_MS });
	await owner.start();
	const session = createChannel("session", "s", { namespace: "processes" });
	const redis = new Redis(history);
	for (;;) {
		const hold = owner.held(session);
		if (hold?.acting) await redis.rpush(HISTORY, `${hold.epoch} ${instance}`);
		// Refused while another acts: tried again for as long as the process lives.
		else await owner.claim(session, { waitMs: LEASE_MS }).catch(() => pause(systemClock, 20));
		await pause(systemClock, 2);
	}
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
