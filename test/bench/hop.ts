/** One end of a hop under measurement, driven by its parent: `publish` sends at a steady rate, `serve` holds the streams. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { FanoutOptions } from "../../lambda/layer/src/config/options.ts";
import { createFanout } from "../../lambda/layer/src/fanout.ts";

export interface HopOrder {
	readonly messages: number;
	readonly perSecond: number;
}

/** To the client of this stream; `t` is what the client measures latency by. */
export type Send = (stream: number, t: string) => unknown;

export interface HopEnds {
	sender(): Promise<Send>;
	server(): Promise<Server>;
}

export const METHOD = "notifications/message";

export function paramsOf(t: string): { level: string; data: { t: string; text: string } } {
	return { level: "info", data: { t, text: "x".repeat(100) } };
}

function timeNow(): string {
	return `~${String(process.hrtime.bigint()).padStart(16, "0")}`;
}

/** Which stream is sent to at a turn: spread, and the same in every run. */
export const streamAt = (turn: number, streams: number): number => (turn * 7919) % streams;

/** Resolves when all of them were taken. What was answered is let go, as a server does: kept, it costs collections. */
export async function sendAll(send: Send, streams: number, { messages, perSecond }: HopOrder): Promise<void> {
	const startedAt = performance.now();
	const sending = new Set<unknown>();
	for (let sent = 0; sent < messages; ) {
		const due = Math.min(messages, Math.floor(((performance.now() - startedAt) / 1000) * perSecond) + 1);
		for (; sent < due; sent += 1) {
			const one = send(streamAt(sent, streams), timeNow());
			if (!(one instanceof Promise)) continue;
			sending.add(one);
			one.then(() => sending.delete(one));
		}
		await sleep(1);
	}
	await Promise.all(sending);
}

/** The hop with everything. */
export function fanoutEnds(options: FanoutOptions): HopEnds {
	return {
		async sender() {
			const fanout = await createFanout({ ...options, follow: false });
			return (stream, t) => fanout.to({ session: String(stream) }).send({ method: METHOD, params: paramsOf(t) });
		},
		async server() {
			const fanout = await createFanout({ ...options, streams: { maxStreams: 100_000 } });
			return createServer((req, res) => {
				fanout.sse(req, res, { session: req.url?.slice(1) ?? "", all: false });
			});
		},
	};
}

export async function runHop(role: string, streams: number, ends: HopEnds): Promise<void> {
	process.on("disconnect", () => process.exit(0));
	if (role === "publish") {
		const one = await ends.sender();
		process.on("message", (order: HopOrder) => sendAll(one, streams, order).then(() => process.send?.({})));
		process.send?.(0);
	} else {
		const server = await ends.server();
		server.listen(0, "127.0.0.1", 4096, () => process.send?.((server.address() as AddressInfo).port));
	}
}
