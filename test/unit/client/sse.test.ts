import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
	connectSse,
	type SseClientEvent,
	type SseConnection,
	type SseDelivery,
} from "../../../lambda/layer/src/client/index.ts";
import type { ConnectSseOptions } from "../../../lambda/layer/src/client/sse.ts";
import { MAX_SSE_EVENT_CHARS } from "../../../lambda/layer/src/client/sse-parser.ts";
import { sseEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import { createFakeClock, type FakeClock } from "../../../lambda/layer/src/testing/fake-clock.ts";
import { until } from "./scripted-cell.ts";

let server: Server;
let clock: FakeClock;
let requests: { request: IncomingMessage; response: ServerResponse }[];
let status: number;
let contentType: string;
let connection: SseConnection | undefined;
beforeEach(async () => {
	clock = createFakeClock();
	requests = [];
	status = 200;
	contentType = "text/event-stream";
	server = createServer((request, response) => {
		requests.push({ request, response });
		response.writeHead(status, { "Content-Type": contentType });
		if (status === 200) response.flushHeaders();
		else response.end();
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
	connection?.close();
	await clock.settle();
	expect(clock.waiting).toBe(0);
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
});

function client(options: ConnectSseOptions = {}) {
	const got: SseDelivery[] = [];
	const events: SseClientEvent[] = [];
	connection = connectSse(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, {
		clock,
		random: () => 0.5,
		onMessage: (delivery) => got.push(delivery),
		onEvent: (event) => events.push(event),
		...options,
	});
	return { got, events, connection };
}
const request = async (count: number) => {
	await until(`request ${count}`, async () => {
		await clock.advance(50);
		return requests.length >= count;
	});
	return requests[count - 1] as (typeof requests)[number];
};
const message = (n: number) => sseEncoding.message(`{"jsonrpc":"2.0","method":"m${n}"}`, `1c${n}`);

it("delivers messages with the cursor after them, and sends headers", async () => {
	const c = client({ headers: async () => ({ Authorization: "Bearer x" }) });
	const { request: asked, response } = await request(1);
	expect(asked.headers).toMatchObject({ authorization: "Bearer x", accept: "text/event-stream" });
	response.write(sseEncoding.cursor("1c0") + message(1) + sseEncoding.message('{"early":true}', undefined));
	await until("two messages", () => c.got.length === 2);
	expect(c.got).toEqual([
		{ message: { jsonrpc: "2.0", method: "m1" }, id: "1c1" },
		{ message: { early: true }, id: "1c1" },
	]);
	expect(c.connection.lastEventId).toBe("1c1");
});

it("resumes after the last cursor, that of a cursor frame included", async () => {
	const c = client({ lastEventId: "1old" });
	const first = await request(1);
	expect(first.request.headers["last-event-id"]).toBe("1old");
	first.response.write(message(1) + sseEncoding.cursor("1cX"));
	await until("the cursor", () => c.connection.lastEventId === "1cX");
	first.response.destroy();
	const second = await request(2);
	expect(second.request.headers["last-event-id"]).toBe("1cX");
	second.response.write(message(2));
	await until("the next", () => c.got.length === 2);
	expect(c.events.map(({ type }) => type)).toEqual(["open", "lost", "open"]);
});

it("does not take an event that was cut off", async () => {
	const c = client();
	const first = await request(1);
	first.response.write(`${message(1)}id: 1c2\ndata: {"half":`);
	await until("the first", () => c.got.length === 1);
	first.response.destroy();
	expect((await request(2)).request.headers["last-event-id"]).toBe("1c1");
});

it("tells marks before the next message, and why a stream was ended", async () => {
	const c = client();
	const { response } = await request(1);
	response.write(sseEncoding.mark("gap", "1m") + message(1) + message(2));
	response.end(sseEncoding.end("shutdown"));
	await request(2);
	expect(c.got.map(({ missing }) => missing)).toEqual(["gap", undefined]);
	expect(c.events).toEqual(
		expect.arrayContaining([
			{ type: "missing", reason: "gap" },
			{ type: "ended", reason: "shutdown" },
		]),
	);
});

it("[P3] [P10] tells what cannot be read as missing, goes on, and quotes nothing of it", async () => {
	const c = client();
	const { response } = await request(1);
	for (const data of ["card 4111 1111", "4111", ""]) response.write(`id: 1x\ndata: ${data}\n\n`);
	response.write(message(1) + sseEncoding.message("{", undefined) + message(2));
	response.end("event: end\ndata: 4111}\n\n");
	await request(2);
	expect(c.got.map(({ missing }) => missing)).toEqual(["gap", "gap"]);
	expect(c.events.filter(({ type }) => type === "missing")).toHaveLength(3);
	expect(c.events.filter(({ type }) => type === "lost")).toEqual([]);
	expect(JSON.stringify(c.events)).not.toContain("4111");
});

it("[P3] [P6] tells a message that is too long as missing, and goes on: to come back for it brought it again", async () => {
	const c = client();
	const { response } = await request(1);
	response.write(sseEncoding.message(`{"text":"${"x".repeat(MAX_SSE_EVENT_CHARS)}"}`, "1c1"));
	response.write(message(2));
	await until("the next", () => c.got.length === 1);
	expect(c.got).toEqual([{ message: { jsonrpc: "2.0", method: "m2" }, id: "1c2", missing: "gap" }]);
	expect(c.events.map(({ type }) => type)).toEqual(["open", "missing"]);
	expect(c.connection.lastEventId).toBe("1c2");
});

it("leaves a stream on which not even beats come", async () => {
	const c = client({ idleMs: 45_000 });
	await request(1);
	await clock.advance(46_000);
	await request(2);
	expect(c.events.filter(({ type }) => type === "lost")).toHaveLength(1);
});

it("asks again for headers that never came", async () => {
	let asked = 0;
	const headers = () => (++asked > 1 ? {} : new Promise<never>(() => {}));
	const c = client({ idleMs: 45_000, headers });
	await clock.advance(46_000);
	await request(1);
	expect([asked, c.events.map(({ type }) => type)]).toEqual([2, ["lost", "open"]]);
});

it("waits as long as the server asked", async () => {
	client();
	const { response } = await request(1);
	response.end("retry: 7000\n\n");
	await new Promise((resolve) => setTimeout(resolve, 20));
	const before = clock.monotonic();
	await request(2);
	expect(clock.monotonic() - before).toBeGreaterThanOrEqual(6_900);
});

it("comes back as soon after its tenth quiet stream as after its first", async () => {
	client();
	for (let n = 1; n <= 10; n += 1) {
		const { response } = await request(n);
		response.write(sseEncoding.cursor("1c0"));
		for (let beat = 0; beat < 3; beat += 1) {
			response.write(": beat\n\n");
			await new Promise((resolve) => setTimeout(resolve, 5));
			await clock.advance(15_000);
		}
		response.end();
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
	const before = clock.monotonic();
	await request(11);
	expect(clock.monotonic() - before).toBeLessThan(8_000); // 10 s, were each a failure
});

it("stops reading while the consumer takes nothing, and goes on without loss", async () => {
	const c = client({ onMessage: undefined });
	const { response } = await request(1);
	const COUNT = 20_000;
	for (let n = 0; n < COUNT; n += 1)
		response.write(sseEncoding.message(`{"n":${n},"pad":"${"x".repeat(500)}"}`, `1c${n}`));
	await clock.settle();
	expect(response.writableLength).toBeGreaterThan(0);
	let next = 0;
	for await (const { message } of c.connection) {
		expect(message.n).toBe(next);
		next += 1;
		if (next === COUNT) break;
	}
});

it.each([400, 401, 403, 404])("ends with the refusal %i, which another try would get again", async (refusal) => {
	status = refusal;
	const c = client({ onMessage: undefined });
	const all = async () => {
		for await (const _ of c.connection) throw new Error("there is nothing");
	};
	await expect(all()).rejects.toMatchObject({ code: "TransportRefused", data: { status: refusal } });
});

it("is not open where a page is answered instead of a stream, and asks again", async () => {
	contentType = "text/html; charset=utf-8";
	const c = client();
	const { response } = await request(1);
	response.end("<p>we are back soon</p>\n\n");
	contentType = "Text/Event-Stream;charset=utf-8";
	await request(2);
	await until("the stream", () => c.events.some(({ type }) => type === "open"));
	expect(c.events).toMatchObject([
		{ type: "lost", error: { code: "TransportUnavailable", data: { contentType: "text/html; charset=utf-8" } } },
		{ type: "open" },
	]);
});

it("ends silently on 204, and tries 503 and 429 again", async () => {
	status = 503;
	const c = client({ onMessage: undefined });
	await request(1);
	status = 429;
	await request(2);
	status = 204;
	const all: SseDelivery[] = [];
	const reading = (async () => {
		for await (const each of c.connection) all.push(each);
	})();
	await request(3);
	await reading;
	expect(all).toEqual([]);
});
