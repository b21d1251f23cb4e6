/** A registry whose server is away for longer than its client library would try by itself. */
import { connect } from "@nats-io/transport-node";
import { afterEach, expect, test, vi } from "vitest";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { createNatsStore } from "../../lambda/layer/src/sessions/nats-store.ts";
import { createRedisStore } from "../../lambda/layer/src/sessions/redis-store.ts";
import { createRegistry } from "../../lambda/layer/src/sessions/registry.ts";
import type { Store } from "../../lambda/layer/src/sessions/store.ts";
import { type NatsNode, startNatsServers } from "../support/nats.ts";
import { tamper } from "../support/nats-tamper.ts";
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

test("[P9] a watch whose connection is closed in the middle of a look holds up nobody's close", async () => {
	const servers = await startNatsServers();
	cleanups.push(() => servers.stop());
	const real = await connect({ servers: servers.urls });
	cleanups.push(() => real.close());
	const link = tamper(real);
	const parts = { namespace: "outage", clock: systemClock, ids: createIds(systemClock) };
	const registry = createRegistry({ store: createNatsStore({ connection: link.nc }), ...parts });
	await registry.start();
	await registry.watch("default", { change() {}, suspect() {} });
	let looks = 0;
	// What wakes it comes through, what it asks for does not.
	link.arrives = ({ subject }) => {
		if (subject.includes(".changes.")) return true;
		looks += 1;
		return false;
	};
	const other = createRegistry({ store: createNatsStore({ connect: { servers: servers.urls } }), ...parts });
	cleanups.push(() => other.close());
	await other.start();
	await other.create(createChannel("session", "s", { namespace: "outage" }));
	await vi.waitFor(() => expect(looks).toBeGreaterThan(0), { timeout: 20_000, interval: 20 });
	await real.close();
	await registry.close();
});
