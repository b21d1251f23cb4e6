/** A NATS server that accepts connections and says nothing, from the start or in an outage: no socket and no wait stays. */
import { createServer, type Server, type Socket } from "node:net";
import { connect } from "@nats-io/transport-node";
import { createNatsTransport } from "mcp-fanout/transports/nats";
import { afterEach, expect, test } from "vitest";
import { systemClock } from "../../lambda/layer/src/core/clock.ts";
import { createIds } from "../../lambda/layer/src/core/ids.ts";
import { startNatsServers } from "../support/nats.ts";
import { freePort } from "../support/ports.ts";

const LATE = { timeout: 20_000, interval: 20 };
const ids = createIds(systemClock);
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
	for (const clean of cleanups.splice(0).reverse()) await clean();
});

async function listenSilently(port: number) {
	const open = new Set<Socket>();
	const seen = { dials: 0, open };
	const server: Server = createServer((socket) => {
		seen.dials += 1;
		open.add(socket);
		socket.on("close", () => open.delete(socket)).on("error", () => {});
		// What is not read is not seen to end.
		socket.resume();
	});
	await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
	cleanups.push(() => {
		for (const socket of open) socket.destroy();
		server.close();
	});
	return seen;
}

function transportTo(servers: readonly string[]) {
	const parts = { clock: systemClock, ids, instanceId: ids.next() };
	const transport = createNatsTransport({ servers, connectTimeoutMs: 300, pingMs: 300, storage: "memory" }, parts);
	cleanups.push(() => transport.close());
	return transport;
}

const start = (transport: ReturnType<typeof transportTo>) =>
	transport.start({ report() {} }, AbortSignal.timeout(10_000));

test("[P7] [P9] a first dial that hears nothing leaves no socket", async () => {
	const port = await freePort();
	const silent = await listenSilently(port);
	await expect(start(transportTo([`nats://127.0.0.1:${port}`]))).rejects.toMatchObject({
		code: "TransportUnavailable",
	});
	expect(silent.dials).toBeGreaterThan(0);
	await expect.poll(() => silent.open.size, LATE).toBe(0);
});

test("[P6] [P7] dials of an outage in which servers accept and say nothing leave no socket each", async () => {
	const servers = await startNatsServers(1);
	const [url = ""] = servers.urls;
	try {
		await start(transportTo([url]));
	} finally {
		await servers.stop();
	}
	const silent = await listenSilently(Number(new URL(url).port));
	await expect.poll(() => silent.dials, LATE).toBeGreaterThan(6);
	// One is being dialled; the library lets go of the one before.
	expect(silent.open.size).toBeLessThanOrEqual(2);
});

test("[P9] a connection that was passed in, and whose server hangs, holds up nobody's close", async () => {
	const servers = await startNatsServers();
	cleanups.push(() => servers.stop());
	const connection = await connect({ servers: servers.urls });
	cleanups.push(() => connection.close());
	const [node] = servers.nodes;
	cleanups.push(() => node?.thaw());
	const parts = { clock: systemClock, ids, instanceId: ids.next() };
	const transport = createNatsTransport({ connection, storage: "memory" }, parts);
	await transport.start({ report: () => {} }, AbortSignal.timeout(10_000));
	await node?.freeze();
	let isClosed = false;
	transport.close().then(() => {
		isClosed = true;
	});
	await expect.poll(() => isClosed, LATE).toBe(true);
});
