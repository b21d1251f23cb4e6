/**
 * One end of a hop under measurement, driven by its parent: `publish` sends, `serve` holds the SSE streams. By hand that
 * is the client library alone: `bare` PUBLISH, SUBSCRIBE and res.write, without a log; `hand` the same with a log, XADD and
 * PUBLISH in one transaction. `fanout` does it with everything. All frame alike.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { SSE_HEADERS } from "../../lambda/layer/src/stream/sse.ts";

export interface HopOrder {
	readonly messages: number;
	readonly perSecond: number;
}

type Send = (stream: number, text: string) => unknown;

const TEXT = "x".repeat(100);
const METHOD = "notifications/message";
const [role, kind, url = "", streamCount] = process.argv.slice(2);
const streams = Number(streamCount);

/** The digits after `~` are what the client measures latency by. */
function textNow(): string {
	return `~${String(process.hrtime.bigint()).padStart(16, "0")}`;
}

async function handSender(): Promise<Send> {
	const redis = new Redis(url);
	return (stream, t) => {
		const params = { level: "info", data: { t, text: TEXT } };
		const json = JSON.stringify({ jsonrpc: "2.0", method: METHOD, params });
		if (kind === "bare") return redis.publish(`hand:${stream}`, json);
		return redis
			.multi()
			.xadd(`log:${stream}`, "MAXLEN", "~", 1_000, "*", "v", json)
			.publish(`hand:${stream}`, json)
			.exec();
	};
}

async function fanoutSender(): Promise<Send> {
	const fanout = await createFanout({ redis: { url }, follow: false });
	return (stream, t) => {
		const params = { level: "info", data: { t, text: TEXT } };
		return fanout.to({ session: String(stream) }).send({ method: METHOD, params });
	};
}

async function handServer() {
	const redis = new Redis(url);
	const open = new Map<string, (json: string) => void>();
	redis.on("message", (channel: string, json: string) => open.get(channel)?.(json));
	let sequence = 1_000_000;
	return createServer(async (req, res) => {
		const channel = `hand:${req.url?.slice(1)}`;
		await redis.subscribe(channel);
		open.set(channel, (json) => {
			sequence += 1;
			res.write(`id: 1ABCDEFGHIJKLMNOPQ${sequence}\ndata: ${json}\n\n`);
		});
		res.writeHead(200, SSE_HEADERS);
		res.write("event: cursor\nid: 1ABCDEFGHIJKLMNOPQ1000000\ndata: \n\n");
	});
}

async function fanoutServer() {
	const fanout = await createFanout({ redis: { url }, streams: { maxStreams: 100_000 } });
	return createServer((req, res) => {
		fanout.sse(req, res, { session: req.url?.slice(1) ?? "", all: false });
	});
}

if (role === "publish") {
	const send = kind === "fanout" ? await fanoutSender() : await handSender();
	process.on("message", async ({ messages, perSecond }: HopOrder) => {
		const startedAt = performance.now();
		const sending: unknown[] = [];
		for (let sent = 0; sent < messages; ) {
			const due = Math.min(messages, Math.floor(((performance.now() - startedAt) / 1000) * perSecond) + 1);
			for (; sent < due; sent += 1) sending.push(send((sent * 7919) % streams, textNow()));
			await sleep(1);
		}
		await Promise.all(sending);
		process.send?.({});
	});
	process.send?.(0);
} else {
	const server = kind === "fanout" ? await fanoutServer() : await handServer();
	server.listen(0, "127.0.0.1", 4096, () => process.send?.((server.address() as AddressInfo).port));
}
process.on("disconnect", () => process.exit(0));
