/** What comes from outside, and what an application's own callbacks and connections throw: it costs that stream alone. */
import { expect, test } from "vitest";
import { createChannel } from "../../../lambda/layer/src/core/channel.ts";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { jsonEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import { openResponse } from "../../../lambda/layer/src/stream/response.ts";
import { openWebSocket, type WebSocketLike } from "../../../lambda/layer/src/stream/websocket.ts";
import { NEWS, openRecorded, progress, testHub, turn } from "./support.ts";

function socket(over: Partial<WebSocketLike> = {}): WebSocketLike {
	const nothing = () => undefined;
	return {
		...{ readyState: 1, bufferedAmount: 0, send: nothing, ping: nothing, close: nothing, terminate: nothing },
		...{ on: nothing, off: nothing },
		...over,
	};
}

const fail = () => {
	throw new Error("EPIPE");
};

test.each([
	[{ session: "x".repeat(600) }, 400],
	[{ topics: ["\ud800"] }, 400],
	[{ principal: "" }, 400],
	[{ all: false }, 403],
])("a request for %j is refused on its own connection, and ends no process", async (request, status) => {
	const fanout = await createFanout({ local: {} });
	try {
		const answer = fanout.response(new Request("http://x/"), request);
		expect(answer.status).toBe(status);
		const closes: (number | undefined)[] = [];
		const stream = fanout.websocket(socket({ close: (code) => void closes.push(code) }), request);
		expect(closes).toEqual([1008]);
		await expect(stream.opened).rejects.toMatchObject({ code: status === 403 ? "ScopeRequired" : "InvalidChannel" });
		expect(fanout.health().streams).toBe(0);
	} finally {
		await fanout.close();
	}
});

test.each(["send", "ping", "close", "terminate"] as const)(
	"[P9] a connection whose %s throws is let go, and starves nobody",
	async (method) => {
		const { hub, clock, feeds } = testHub({ heartbeatMs: 1_500 });
		// What cannot be sent is let go by force: that may fail as well.
		openWebSocket(hub, socket({ [method]: fail, terminate: fail }), { channels: [NEWS] });
		const { wire } = openRecorded(hub, { channels: [NEWS] });
		for (const { sink } of feeds) sink.deliver(progress(1), "c1");
		await turn();
		await clock.advance(3_000);
		for (const { sink } of feeds) sink.deliver(progress(2), "c2");
		const closing = hub.close();
		await clock.advance(60_000);
		await closing;
		expect(wire.text).toMatch(/"n":1.*"n":2.*event: end/s);
		expect([hub.size, clock.waiting, feeds.map(({ closes }) => closes > 0)]).toEqual([0, 0, [true, true]]);
	},
);

test("[P9] a stream that its application cannot take is closed, and what it threw is thrown on", () => {
	const { hub, clock } = testHub();
	const open = () => openResponse(hub, new Request("http://x/"), { channels: [NEWS], onStream: fail });
	expect(open).toThrow("EPIPE");
	expect([hub.size, clock.waiting]).toEqual([0, 0]);
});

test("a channel that cannot be is refused before any work", () => {
	const { hub, feeds } = testHub();
	const channels = () => [createChannel("topic", "")];
	expect(() => hub.open({ channels }, jsonEncoding, fail)).toThrow(expect.objectContaining({ code: "InvalidChannel" }));
	expect([hub.size, feeds]).toEqual([0, []]);
});
