/**
 * One server under measurement, driven by its parent over IPC: `bare` writes each frame by node:http's `res.write`,
 * `hub` serves the same bytes by client streams alone, `fanout` by everything from publish to stream. All serialise a
 * message once and make an id line per stream.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import { createChannel } from "../../lambda/layer/src/core/channel.ts";
import type { Sink } from "../../lambda/layer/src/core/client-feed.ts";
import type { Envelope } from "../../lambda/layer/src/core/envelope.ts";
import { SSE_HEADERS } from "../../lambda/layer/src/core/sse.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { createHub } from "../../lambda/layer/src/stream/hub.ts";
import { openSse } from "../../lambda/layer/src/stream/sse.ts";
import { collected } from "./memory.ts";

export type Order =
	| { readonly do: "measure" | "nothing" }
	| { readonly do: "broadcast" }
	| { readonly do: "targeted"; readonly messages: number; readonly perSecond: number }
	| { readonly do: "flood"; readonly messages: number; readonly perTurn: number };

/** Memory only where `measure` was ordered: it collects garbage first, and that is no server's work. */
export interface Measure {
	readonly rss: number;
	readonly heap: number;
	/** Microseconds of CPU since the process started. */
	readonly cpu: number;
}

interface Served {
	broadcast(message: Message): unknown;
	send(stream: number, message: Message): unknown;
}

type Message = { readonly jsonrpc: "2.0"; readonly method: string; readonly params: Record<string, unknown> };

const TEXT = "x".repeat(100);
const TAG = "ABCDEFGHIJKLMNOPQ";
let sequence = 0;

/** About 200 bytes; the digits after `~` are what clients measure latency by. */
function messageNow(): Message {
	const t = `~${String(process.hrtime.bigint()).padStart(16, "0")}`;
	return { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: { t, text: TEXT } } };
}

/** 25 characters, as a cursor of one lane. */
function cursorOf(): string {
	sequence += 1;
	return `1${TAG}${1_000_000 + sequence}`;
}

function serveBare(): [ReturnType<typeof createServer>, Served] {
	const streams = new Map<number, ServerResponse>();
	const server = createServer((req, res) => {
		const number = Number(req.url?.slice(1));
		streams.set(number, res);
		res.on("close", () => streams.delete(number));
		res.writeHead(200, SSE_HEADERS);
		res.write(`event: cursor\nid: ${cursorOf()}\ndata: \n\n`);
	});
	return [
		server,
		{
			broadcast(message) {
				const json = JSON.stringify(message);
				for (const res of streams.values()) res.write(`id: ${cursorOf()}\ndata: ${json}\n\n`);
			},
			send(stream, message) {
				streams.get(stream)?.write(`id: ${cursorOf()}\ndata: ${JSON.stringify(message)}\n\n`);
			},
		},
	];
}

function serveHub(): [ReturnType<typeof createServer>, Served] {
	const sinks = new Map<number, Sink>();
	const hub = createHub({
		openFeed({ channels }, sink) {
			const key = Number(channels[0]?.id);
			sinks.set(key, sink);
			sink.cursor(cursorOf());
			const cursor = "";
			return {
				opened: Promise.resolve(),
				cursor,
				add: async () => {},
				remove() {},
				early() {},
				close: () => void sinks.delete(key),
			};
		},
		limits: { maxStreams: 100_000 },
	});
	const channel = createChannel("all", "");
	const envelopeOf = (message: Message): Envelope => ({
		v: 1,
		id: "00000000-0000-7000-8000-000000000000",
		channel,
		message,
		publishedAt: 0,
		origin: "bench",
		lanes: ["local"],
	});
	const server = createServer((req, res) => {
		openSse(hub, req, res, { channels: [createChannel("session", req.url?.slice(1) ?? "")] });
	});
	return [
		server,
		{
			broadcast(message) {
				const envelope = envelopeOf(message);
				for (const sink of sinks.values()) sink.deliver(envelope, cursorOf());
			},
			send(stream, message) {
				sinks.get(stream)?.deliver(envelopeOf(message), cursorOf());
			},
		},
	];
}

async function serveFanout(): Promise<[ReturnType<typeof createServer>, Served]> {
	const fanout = await createFanout({ local: {}, streams: { maxStreams: 100_000 } });
	const server = createServer((req, res) => {
		fanout.sse(req, res, { session: req.url?.slice(1) ?? "" });
	});
	const all = fanout.to({ all: true });
	return [
		server,
		{
			broadcast: (message) => all.send(message),
			send: (stream, message) => fanout.to({ session: String(stream) }).send(message),
		},
	];
}

async function targeted(served: Served, streams: number, messages: number, perSecond: number): Promise<void> {
	const startedAt = performance.now();
	for (let sent = 0; sent < messages; ) {
		const due = Math.min(messages, Math.floor(((performance.now() - startedAt) / 1000) * perSecond) + 1);
		// A different stream every time, in an order that repeats for both servers.
		for (; sent < due; sent += 1) served.send((sent * 7919) % streams, messageNow());
		await sleep(1);
	}
}

async function flood(served: Served, streams: number, messages: number, perTurn: number): Promise<void> {
	for (let sent = 0; sent < messages; ) {
		for (let n = 0; n < perTurn && sent < messages; n += 1, sent += 1) {
			served.send((sent * 7919) % streams, messageNow());
		}
		await nextTurn();
	}
}

const [kind, streamCount] = process.argv.slice(2);
const streams = Number(streamCount);
const [server, served] = kind === "bare" ? serveBare() : kind === "hub" ? serveHub() : await serveFanout();

process.on("message", async (order: Order) => {
	if (order.do === "broadcast") served.broadcast(messageNow());
	if (order.do === "targeted") await targeted(served, streams, order.messages, order.perSecond);
	if (order.do === "flood") await flood(served, streams, order.messages, order.perTurn);
	const memory = order.do === "measure" ? await collected() : { rss: 0, heap: 0 };
	const { user, system } = process.cpuUsage();
	process.send?.({ ...memory, cpu: user + system });
});
process.on("disconnect", () => process.exit(0));
server.listen(0, "127.0.0.1", 4096, () => process.send?.((server.address() as AddressInfo).port));
