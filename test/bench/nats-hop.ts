/**
 * One end of a hop under measurement, driven by its parent: `publish` sends, `serve` holds the SSE streams. By hand that
 * is the client library alone, over the same path: `bare` core publish and subscribe without a log, `hand` js.publish into
 * a stream and a subscription to what it republishes; both res.write. `fanout` does it with everything. All frame alike.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { SSE_HEADERS } from "../../lambda/layer/src/stream/sse.ts";
import type { NatsOptions } from "../../lambda/layer/src/transports/nats/index.ts";

export interface HopOrder {
	readonly messages: number;
	readonly perSecond: number;
}

type Send = (stream: number, text: string) => unknown;

const TEXT = "x".repeat(100);
const METHOD = "notifications/message";
const [role, kind, settings = "{}", streamCount] = process.argv.slice(2);
const options = JSON.parse(settings) as NatsOptions & { readonly servers: string[] };
const streams = Number(streamCount);

/** The digits after `~` are what the client measures latency by. */
function textNow(): string {
	return `~${String(process.hrtime.bigint()).padStart(16, "0")}`;
}

async function handSender(): Promise<Send> {
	const nc = await connect({ servers: options.servers });
	const republish = { src: "hand.>", dest: "hand-live.>" };
	if (kind === "hand") {
		const { storage = "memory", replicas: num_replicas = 1 } = options;
		const jsm = await jetstreamManager(nc, { timeout: 10_000 });
		await jsm.streams.add({ name: "hand", subjects: ["hand.>"], storage, num_replicas, republish });
	}
	const js = jetstream(nc);
	let count = 0;
	return (stream, t) => {
		const params = { level: "info", data: { t, text: TEXT } };
		const json = JSON.stringify({ jsonrpc: "2.0", method: METHOD, params });
		count += 1;
		if (kind === "hand") return js.publish(`hand.${stream}`, json, { msgID: `${process.pid}-${count}` });
		return nc.publish(`hand-live.${stream}`, json);
	};
}

async function fanoutSender(): Promise<Send> {
	const fanout = await createFanout({ nats: options, follow: false });
	return (stream, t) => {
		const params = { level: "info", data: { t, text: TEXT } };
		return fanout.to({ session: String(stream) }).send({ method: METHOD, params });
	};
}

async function handServer() {
	const nc = await connect({ servers: options.servers });
	let sequence = 1_000_000;
	return createServer((req, res) => {
		nc.subscribe(`hand-live.${req.url?.slice(1)}`, {
			callback(error, msg) {
				if (error !== null) throw error;
				sequence += 1;
				res.write(`id: 1ABCDEFGHIJKLMNOPQ${sequence}\ndata: ${msg.string()}\n\n`);
			},
		});
		res.writeHead(200, SSE_HEADERS);
		res.write("event: cursor\nid: 1ABCDEFGHIJKLMNOPQ1000000\ndata: \n\n");
	});
}

async function fanoutServer() {
	const fanout = await createFanout({ nats: options, streams: { maxStreams: 100_000 } });
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
