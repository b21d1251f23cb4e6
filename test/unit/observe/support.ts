/** A fanout with one client stream of session `s1` over HTTP, and what it read. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createFanout, type FanoutOptions } from "../../../lambda/layer/src/index.ts";

/** In a message, and nowhere else. */
export const SECRET = "hunter2";
const DEADLINE_MS = 20_000;

export async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
	const deadline = performance.now() + DEADLINE_MS;
	while (!(await isTrue())) {
		if (performance.now() > deadline) throw new Error("it did not come true");
		await sleep(5);
	}
}

export async function openFanout(undo: (() => unknown)[], options: FanoutOptions = {}) {
	const fanout = await createFanout({ local: {}, breaker: {}, outbox: {}, ...options });
	const server = createServer((req, res) => void fanout.sse(req, res, { session: "s1" }));
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
	undo.push(async () => {
		await fanout.close();
		server.closeAllConnections();
		server.close();
	});

	async function openStream(headers: Record<string, string> = {}) {
		const leaving = new AbortController();
		const answer = await fetch(url, { headers, signal: leaving.signal });
		const read = { text: "", leave: () => leaving.abort() };
		const pump = async () => {
			for await (const part of answer.body ?? []) read.text += Buffer.from(part).toString();
		};
		pump().catch(() => undefined);
		await until(() => read.text.includes("event: cursor"));
		return read;
	}
	const read = await openStream();
	return { fanout, read, openStream };
}
