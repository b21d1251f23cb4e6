import { once } from "node:events";
import { connect, constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createHub } from "../../../lambda/layer/src/stream/hub.ts";
import { openSse } from "../../../lambda/layer/src/stream/sse.ts";
import { NEWS, scriptFeeds } from "./support.ts";

test("[P6] a stream on HTTP/2 goes with its client, also with one that left before it was opened", async () => {
	const { openFeed } = scriptFeeds();
	const hub = createHub({ openFeed, limits: { endGraceMs: 200, heartbeatMs: 3_600_000 } });
	const opens: (() => string)[] = [];
	const server = createServer((req, res) => {
		const [asked, answer] = [req, res] as unknown as Parameters<typeof openSse>[1 | 2][];
		opens.push(() => openSse(hub, asked as never, answer as never, { channels: [NEWS] }).id);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
	const ask = async () => {
		const stream = session.request({ ":path": "/" }).on("error", () => {});
		await once(server, "request");
		return stream;
	};
	const first = await ask();
	opens[0]?.();
	await once(first, "response");
	expect(hub.size).toBe(1);
	first.close(constants.NGHTTP2_CANCEL);
	await expect.poll(() => hub.size).toBe(0);

	const early = once(server, "stream");
	const second = await ask();
	const [stream] = await early;
	second.close(constants.NGHTTP2_CANCEL);
	await once(stream, "close");
	opens[1]?.();
	expect(hub.size).toBe(0);
	session.destroy();
	await hub.close();
	server.close();
});
