import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createIds } from "../../../lambda/layer/src/core/ids.ts";
import { createHub } from "../../../lambda/layer/src/stream/hub.ts";
import type { ClientStream, StreamLimits, StreamOptions } from "../../../lambda/layer/src/stream/port.ts";
import { openWebSocket } from "../../../lambda/layer/src/stream/websocket.ts";
import { createFakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { NEWS, numbersIn, progress, scriptFeeds, turn, until } from "./support.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<StreamOptions> = {}, limits: Partial<StreamLimits> = {}) {
	const { feeds, openFeed } = scriptFeeds();
	const clock = createFakeClock();
	const hub = createHub({ openFeed, clock, ids: createIds(clock), limits });
	const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
	const streams: ClientStream[] = [];
	const peers: WebSocket[] = [];
	server.on("connection", (ws) => {
		peers.push(ws);
		streams.push(openWebSocket(hub, ws, { channels: [NEWS], ...options }));
	});
	await once(server, "listening");
	cleanups.push(() => {
		for (const peer of peers) peer.terminate();
		return new Promise((resolve) => server.close(resolve));
	});
	const dial = async (autoPong = true) => {
		const ws = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, { autoPong });
		const read = { ws, frames: [] as string[], closed: undefined as [number, string] | undefined };
		ws.on("message", (data) => void read.frames.push(String(data)));
		ws.on("close", (code, reason) => {
			read.closed = [code, String(reason)];
		});
		await once(ws, "open");
		return read;
	};
	return { hub, clock, feeds, streams, peers, dial };
}

test("frames are JSON: cursor, messages, marks, end, then the close", async () => {
	const { feeds, dial, streams, hub, clock, peers } = await serve();
	const client = await dial();
	feeds[0]?.sink.deliver(progress(1, "漢字"), "c1");
	feeds[0]?.sink.deliver(progress(2), undefined);
	feeds[0]?.sink.mark("gap", "c3");
	await turn();
	feeds[0]?.sink.end("moved");
	await until(() => client.closed !== undefined);
	expect(client.frames.map((text) => JSON.parse(text) as unknown)).toMatchObject([
		{ cursor: "c0" },
		{ cursor: "c1", message: { params: { n: 1, text: "漢字" } } },
		{ message: { params: { n: 2 } } },
		{ mark: "gap", cursor: "c3" },
		{ end: "moved" },
	]);
	expect(client.closed).toEqual([1001, "moved"]);
	expect(await streams[0]?.closed).toBe("moved");
	// The one left is the server's own.
	expect([peers[0]?.listenerCount("close"), peers[0]?.listenerCount("pong")]).toEqual([1, 0]);
	expect([hub.size, clock.waiting]).toEqual([0, 0]);
});

test.each([
	["slow-consumer", 1013],
	["expired", 1008],
	["gap", 1011],
	["closed", 1000],
] as const)("%s closes with %i", async (reason, code) => {
	const { feeds, dial } = await serve();
	const client = await dial();
	feeds[0]?.sink.end(reason);
	await until(() => client.closed !== undefined);
	expect(client.closed).toEqual([code, reason]);
});

test("a client that never reads is ended and terminated at the end of its grace", async () => {
	const { feeds, dial, streams, clock } = await serve({}, { maxQueuedFrames: 50, endGraceMs: 1000 });
	const client = await dial();
	client.ws.pause();
	const text = "x".repeat(10_000);
	for (let n = 0; (feeds[0]?.closes ?? 1) === 0 && n < 100_000; n += 1) {
		feeds[0]?.sink.deliver(progress(n, text), `c${n}`);
		await turn();
	}
	await clock.advance(1000);
	expect(await streams[0]?.closed).toBe("slow-consumer");
});

test("a reader that pauses and goes on gets everything in order", async () => {
	const { feeds, dial } = await serve({}, { maxQueuedFrames: 1e6, maxQueuedBytes: 1e9 });
	const client = await dial();
	client.ws.pause();
	const text = "x".repeat(10_000);
	for (let n = 0; n < 1500; n += 1) {
		feeds[0]?.sink.deliver(progress(n, text), `c${n}`);
		if (n % 10 === 0) await turn();
	}
	client.ws.resume();
	await until(() => client.frames.length === 1501);
	expect(numbersIn(client.frames.join("\n"))).toEqual(Array.from({ length: 1500 }, (_, n) => n));
});

test("hearts beat as pings, and a peer that answers none by the next is gone", async () => {
	const { dial, hub, clock, peers } = await serve();
	const alive = await dial();
	const dead = await dial(false);
	let pongs = 0;
	peers[0]?.on("pong", () => {
		pongs += 1;
	});
	await clock.advance(15_000);
	await until(() => pongs === 1);
	await clock.advance(15_000);
	await until(() => dead.closed !== undefined);
	expect(hub.size).toBe(1);
	expect(alive.closed).toBeUndefined();
});

test("a protocol error of the client is no exception here", async () => {
	const { dial, hub, streams } = await serve();
	const client = await dial();
	// A masked frame with reserved bits set.
	(client.ws as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(
		Buffer.from([0xf1, 0x80, 0, 0, 0, 0]),
	);
	expect(await streams[0]?.closed).toBe("closed");
	expect(hub.size).toBe(0);
});

test("a protocol error of a client that was refused is no exception here", async () => {
	const { dial, peers } = await serve({}, { maxStreams: 0 });
	const client = await dial();
	// Before the close that refuses it is answered.
	(client.ws as unknown as { _socket: { write(bytes: Buffer): void } })._socket.write(
		Buffer.from([0xf1, 0x80, 0, 0, 0, 0]),
	);
	await until(() => peers[0]?.readyState === WebSocket.CLOSED);
	expect(peers[0]?.listenerCount("error")).toBe(1);
});

test("refusals close the socket: 1013 when full, 1008 otherwise", async () => {
	const full = await (await serve({}, { maxStreams: 0 })).dial();
	const wrong = await (await serve({ filter: { methods: [""] } })).dial();
	await until(() => full.closed !== undefined && wrong.closed !== undefined);
	expect([full.closed, wrong.closed]).toEqual([
		[1013, "TooManyStreams"],
		[1008, "InvalidFilter"],
	]);
});
