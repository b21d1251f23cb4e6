import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer, get as getTls } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { afterEach, expect, test } from "vitest";
import { createHub } from "../../../lambda/layer/src/stream/hub.ts";
import type { ClientStream, StreamLimits, StreamOptions } from "../../../lambda/layer/src/stream/port.ts";
import { openSse } from "../../../lambda/layer/src/stream/sse.ts";
import { asOfOlderNode } from "../../support/older-node.ts";
import { NEWS, numbersIn, progress, scriptFeeds, turn, until } from "./support.ts";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
	for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Setup {
	readonly options?: Partial<StreamOptions>;
	readonly limits?: Partial<StreamLimits>;
	/** Runs on the response before the stream is opened. */
	readonly before?: (res: ServerResponse) => void;
}

async function serve({ options = {}, limits = {}, before }: Setup = {}) {
	const { feeds, openFeed } = scriptFeeds();
	// Hearts that beat would be found between the frames of a slow machine.
	const hub = createHub({ openFeed, limits: { endGraceMs: 200, heartbeatMs: 3_600_000, ...limits } });
	const streams: ClientStream[] = [];
	const sockets = new Set<Socket>();
	const server = createServer((req, res) => {
		if (req.url === "/plain") return void res.end("plain");
		before?.(res);
		streams.push(openSse(hub, req, res, { channels: [NEWS], ...options }));
	});
	server.on("connection", (socket) => sockets.add(socket));
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	cleanups.push(async () => {
		await hub.close();
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	});
	return { hub, feeds, streams, sockets, port, url: `http://127.0.0.1:${port}/` };
}

function request(url: string, agent?: Agent, headers: Record<string, string> = {}): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => get(url, { headers, ...(agent && { agent }) }, resolve).on("error", reject));
}

function textOf(res: IncomingMessage) {
	const read = { text: "", isOver: false };
	res.setEncoding("utf8").on("data", (part: string) => {
		read.text += part;
	});
	res.on("close", () => {
		read.isOver = true;
	});
	return read;
}

function rawClient(port: number, text: string) {
	const socket = connect(port, "127.0.0.1", () => socket.write(text));
	const read = { text: "", isOver: false, socket };
	socket.setEncoding("latin1").on("data", (part: string) => {
		read.text += part;
	});
	socket.on("close", () => {
		read.isOver = true;
	});
	socket.on("error", () => undefined);
	cleanups.push(() => socket.destroy());
	return read;
}

test("headers and the cursor frame arrive before anything happens", async () => {
	const { url, feeds } = await serve({ options: { retryMs: 1500 } });
	const res = await request(url, undefined, { "Last-Event-ID": "1seen" });
	expect(res.headers).toMatchObject({ "content-type": "text/event-stream", "transfer-encoding": "chunked" });
	expect(res.headers["cache-control"]).toContain("no-transform");
	const read = textOf(res);
	await until(() => read.text.includes("cursor"));
	expect(read.text).toBe("retry: 1500\n\nevent: cursor\nid: c0\ndata: \n\n");
	expect(feeds[0]?.request.cursor).toBe("1seen");
});

test("chunks written to the socket parse in node's client and in fetch, whatever the text", async () => {
	const { url, feeds } = await serve();
	const read = textOf(await request(url));
	const response = await fetch(url);
	const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
	const texts = ["plain", "żółć 漢字 👋\u2028", "\r\n0\r\n\r\n", "x".repeat(100_000), ""];
	for (const [n, text] of texts.entries()) {
		for (const { sink } of feeds) sink.deliver(progress(n, text), `c${n}`);
		if (n % 2 === 0) await turn();
	}
	let fetched = "";
	while (numbersIn(fetched).length < texts.length) fetched += (await reader?.read())?.value ?? "";
	await until(() => numbersIn(read.text).length === texts.length);
	expect(fetched).toBe(read.text);
	const events: EventSourceMessage[] = [];
	createParser({ onEvent: (event) => void events.push(event) }).feed(read.text);
	const messages = events.slice(1).map(({ data }) => JSON.parse(data) as { params: { text: string } });
	expect(messages.map(({ params }) => params.text)).toEqual(texts);
	expect(events.map(({ id }) => id)).toEqual(["c0", "c0", "c1", "c2", "c3", "c4"]);
	await reader?.cancel();
});

test("TLS sockets carry the same", async () => {
	const { feeds, openFeed } = scriptFeeds();
	const hub = createHub({ openFeed });
	// A pre-shared key, since a certificate would expire in this file.
	const psk = Buffer.alloc(16, 7);
	const tls = { ciphers: "PSK-AES128-GCM-SHA256", maxVersion: "TLSv1.2" } as const;
	const server = createTlsServer({ ...tls, pskCallback: () => psk }, (req, res) => {
		openSse(hub, req, res, { channels: [NEWS] });
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	cleanups.push(async () => {
		await hub.close();
		await new Promise((resolve) => server.close(resolve));
	});
	const { port } = server.address() as AddressInfo;
	const psked = { pskCallback: () => ({ psk, identity: "test" }), checkServerIdentity: () => undefined };
	const options = { host: "127.0.0.1", port, agent: false as const, ...tls, ...psked };
	const res = await new Promise<IncomingMessage>((resolve, reject) => getTls(options, resolve).on("error", reject));
	const read = textOf(res);
	for (let n = 0; n < 200; n += 1) feeds[0]?.sink.deliver(progress(n, "x".repeat(3_000)), `c${n}`);
	await until(() => numbersIn(read.text).length === 200);
	feeds[0]?.sink.end("moved");
	await until(() => read.isOver);
	expect(numbersIn(read.text)).toEqual(Array.from({ length: 200 }, (_, n) => n));
	expect(read.text).toContain('{"reason":"moved"}');
});

test("[P7] a connection ends with its stream: whoever comes back on one that is kept would ask the same process again", async () => {
	const { url, feeds, streams, sockets } = await serve();
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	cleanups.push(() => agent.destroy());
	for (let round = 0; round < 3; round += 1) {
		const res = await request(url, agent);
		expect(res.headers.connection).toBe("close");
		const read = textOf(res);
		feeds[round]?.sink.deliver(progress(round), "c1");
		feeds[round]?.sink.end("moved");
		await until(() => read.isOver);
		expect(read.text).toContain(`"n":${round}`);
		expect(read.text).toMatch(/event: end\ndata: \{"reason":"moved"\}\n\n$/);
		expect(await streams[round]?.closed).toBe("moved");
		const plain = textOf(await request(`${url}plain`, agent));
		await until(() => plain.isOver);
		expect(plain.text).toBe("plain");
	}
	// The first stream's, and one for each plain request, on which the next stream came.
	expect(sockets.size).toBe(4);
});

test("[P7] the client of an instance that goes away is sent on by a stream that ends: a status would be its last try", async () => {
	const { url, hub, feeds, streams } = await serve();
	await hub.close();
	const refused = await fetch(url);
	expect([refused.status, refused.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
	expect(refused.headers.get("connection")).toBe("close");
	expect(await refused.text()).toBe('retry: 1000\n\nevent: end\ndata: {"reason":"shutdown"}\n\n');
	await expect(streams[0]?.opened).rejects.toMatchObject({ code: "Closed" });
	expect([hub.size, feeds.length]).toEqual([0, 0]);
	// A proxy that hands it on to the next instance.
	expect((await fetch(url, { headers: { "Mcp-Fanout-Refuse": "status" } })).status).toBe(503);
});

test("a client that leaves closes the feed and frees its place", async () => {
	const { url, hub, feeds, streams } = await serve();
	const res = await request(url);
	await until(() => hub.size === 1);
	res.destroy();
	expect(await streams[0]?.closed).toBe("closed");
	expect([hub.size, feeds[0]?.closes]).toEqual([0, 1]);
});

test("a client that half-closes is let go", async () => {
	const { port, hub, feeds } = await serve();
	const client = rawClient(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	await until(() => client.text.includes("cursor"));
	client.socket.end();
	feeds[0]?.sink.deliver(progress(1), "c1");
	await until(() => hub.size === 0);
});

test("a client that never reads is ended, its socket destroyed", async () => {
	const { port, hub, feeds, streams, sockets } = await serve({ limits: { maxQueuedFrames: 50 } });
	const client = rawClient(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	await until(() => client.text.includes("cursor"));
	client.socket.pause();
	const text = "x".repeat(10_000);
	for (let n = 0; hub.size > 0 && n < 100_000; n += 1) {
		feeds[0]?.sink.deliver(progress(n, text), `c${n}`);
		await turn();
	}
	expect(await streams[0]?.closed).toBe("slow-consumer");
	expect([...sockets].every((socket) => socket.destroyed)).toBe(true);
});

test("a reader that pauses and goes on gets everything in order", async () => {
	const { url, feeds, hub } = await serve({ limits: { maxQueuedFrames: 1e6, maxQueuedBytes: 1e9 } });
	const res = await request(url);
	await until(() => hub.size === 1);
	const text = "x".repeat(10_000);
	for (let n = 0; n < 2000; n += 1) {
		feeds[0]?.sink.deliver(progress(n, text), `c${n}`);
		if (n % 10 === 0) await turn();
	}
	const read = textOf(res);
	feeds[0]?.sink.deliver(progress(2000), "last");
	await until(() => read.text.includes("id: last\n"));
	await until(() => read.text.endsWith("\n\n"));
	expect(numbersIn(read.text)).toEqual(Array.from({ length: 2001 }, (_, n) => n));
});

test("HTTP/1.0 and wrapped responses get the same frames without our chunks", async () => {
	const { port, feeds, url } = await serve({
		before: (res) => {
			const write = res.write.bind(res);
			res.write = ((chunk: string) => write(String(chunk).replace("plain", "PLAIN"))) as typeof res.write;
		},
	});
	const client = rawClient(port, "GET / HTTP/1.0\r\n\r\n");
	const read = textOf(await request(url));
	await until(() => feeds.length === 2);
	for (const { sink } of feeds) {
		sink.deliver(progress(1, "plain"), "c1");
		sink.end("shutdown");
	}
	await until(() => client.isOver && read.isOver);
	expect(client.text.split("\r\n\r\n")[1]).toBe(read.text);
	expect(read.text).toContain("PLAIN");
});

test("a pipelined request waits its turn, and goes with the connection that it waited for", async () => {
	const { port, feeds, hub, streams } = await serve();
	const ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	const client = rawClient(port, ask + ask);
	await until(() => feeds.length === 2);
	feeds[1]?.sink.deliver(progress(2), "c2");
	feeds[0]?.sink.deliver(progress(1), "c1");
	await turn();
	feeds[0]?.sink.end("moved");
	await until(() => client.isOver);
	expect(client.text).toMatch(/0\r\n\r\n$/);
	expect(numbersIn(client.text)).toEqual([1]);
	expect(await streams[1]?.closed).toBe("closed");
	expect([feeds[1]?.closes, hub.size]).toEqual([1, 0]);
});

test("excess and hostile requests are answered, and nothing is thrown", async () => {
	const { url, hub, streams, feeds } = await serve({ limits: { maxStreams: 1 } });
	await request(url);
	const refused = await fetch(url);
	expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
	expect(await refused.json()).toMatchObject({ error: "TooManyStreams" });
	expect((await fetch(url, { method: "HEAD" })).status).toBe(400);
	await expect(streams[1]?.opened).rejects.toMatchObject({ code: "TooManyStreams" });
	expect(await streams[1]?.closed).toBe("closed");
	expect([hub.size, feeds.length]).toEqual([1, 1]);
});

test("a response that the application ends itself is let go without stray bytes", async () => {
	let response: ServerResponse | undefined;
	const { url, feeds, streams } = await serve({
		before: (res) => {
			response = res;
		},
	});
	const read = textOf(await request(url));
	await until(() => read.text.includes("cursor"));
	response?.end();
	feeds[0]?.sink.deliver(progress(1), "c1");
	expect(await streams[0]?.closed).toBe("closed");
	await until(() => read.isOver);
	expect(read.text).not.toContain('"n":1');
});

test.each([
	["this Node", () => {}],
	["an older one", asOfOlderNode],
])("[P6] on %s, a stream that waits behind another on its connection goes with its client", async (_node, before) => {
	const { hub, port } = await serve({ before });
	const client = rawClient(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
	await until(() => hub.size === 2);
	client.socket.destroy();
	await until(() => hub.size === 0);
});
