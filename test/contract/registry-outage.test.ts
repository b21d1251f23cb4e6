/** A registry whose server is away for longer than its client library would try by itself. */
import { afterEach, expect, test, vi } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsStore } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { type NatsNode, startNatsServers } from "../support/nats.ts";
import { startValkeyServer } from "../support/valkey.ts";

const AWAY_MS = 1_500;
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
	for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function nats() {
	const servers = await startNatsServers();
	cleanups.push(() => servers.stop());
	const [node] = servers.nodes as [NatsNode];
	// Ten tries, as the library has it; and so quick that they are over soon.
	return { store: createNatsStore({ connect: { servers: servers.urls, reconnectTimeWait: 20 } }), server: node };
}

async function redis() {
	const server = await startValkeyServer();
	cleanups.push(() => server.stop());
	return { store: createRedisStore({ url: server.url }), server };
}

test.each<[string, () => Promise<{ store: Store; server: { kill(): Promise<void>; start(): Promise<void> } }>]>([
	["nats", nats],
	["redis", redis],
])("[P7] %s: sessions are claimed again when the server is back", async (_name, open) => {
	const { store, server } = await open();
	const registry = createRegistry({ store, namespace: "outage", clock: systemClock, ids: createIds(systemClock) });
	cleanups.push(() => registry.close());
	await registry.start();
	await server.kill();
	await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
	await server.start();
	const claimed = async () => {
		const { term } = await registry.enlist("a", 10_000);
		return registry.claim(createChannel("session", "s", { namespace: "outage" }), term);
	};
	await vi.waitFor(async () => expect(await claimed()).toMatchObject({ ok: true }), { timeout: 20_000, interval: 100 });
});
