/** A fanout whose readers do not read, driven by its parent: publishes events and tells its memory. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createFanout } from "../../lambda/layer/src/fanout.ts";
import { collected } from "./memory.ts";

const TURN = 100;
const TEXT = "x".repeat(100);
const UPDATED = "notifications/resources/updated";

const fanout = await createFanout({ local: {} });
const reasons: Record<string, string> = {};
const server = createServer((req, res) => {
	const name = req.url?.slice(1) ?? "";
	const request = { all: false, topics: ["news"] };
	const stream = fanout.sse(
		req,
		res,
		name === "coalescing" ? { ...request, coalesce: true, filter: { methods: [UPDATED] } } : request,
	);
	reasons[name] = "open";
	stream.closed.then((reason) => {
		reasons[name] = reason;
	});
});

process.on("message", async ({ events }: { events: number }) => {
	const news = fanout.to({ topic: "news" });
	for (let sent = 0; sent < events; ) {
		const batch: Promise<unknown>[] = [];
		for (; sent < events && batch.length < TURN; sent += 1) {
			const params = { uri: `docs://${sent % 100}`, text: TEXT };
			batch.push(news.send({ method: sent % 2 === 0 ? UPDATED : "notifications/message", params }));
		}
		await Promise.all(batch);
		await nextTurn();
	}
	process.send?.({ ...(await collected()), reasons });
});
process.on("disconnect", () => process.exit(0));
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
