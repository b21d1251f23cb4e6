import { expect, test } from "vitest";
import { leavingOf } from "../../../lambda/layer/src/core/outlet.ts";
import { sseEncoding } from "../../../lambda/layer/src/stream/frames.ts";
import type { ClientStream, StreamLimits } from "../../../lambda/layer/src/stream/port.ts";
import { openResponse, type ResponseOptions } from "../../../lambda/layer/src/stream/response.ts";
import { scriptOutlet } from "../../support/outlet.ts";
import { NEWS, numbersIn, progress, testHub, turn } from "./support.ts";

function open(options: Partial<ResponseOptions> = {}, limits: Partial<StreamLimits> = {}, init: RequestInit = {}) {
	const bench = testHub(limits);
	let stream: ClientStream | undefined;
	const response = openResponse(bench.hub, new Request("http://x/", init), {
		channels: [NEWS],
		onStream: (opened) => {
			stream = opened;
		},
		...options,
	});
	return { ...bench, response, stream: stream as unknown as ClientStream, sink: bench.feeds[0]?.sink };
}

test("streams frames as they come and closes after the end", async () => {
	const { response, sink, stream, hub, clock } = open({ retryMs: 10, headers: { "X-Own": "1" } });
	expect(response.headers.get("content-type")).toBe("text/event-stream");
	expect(response.headers.get("x-own")).toBe("1");
	sink?.deliver(progress(1, "ü"), "c1");
	await turn();
	sink?.end("moved");
	const text = await response.text();
	expect(text).toMatch(/^retry: 10\n\nevent: cursor\nid: c0\ndata: \n\nid: c1\n.*event: end\n/s);
	expect(await stream.closed).toBe("moved");
	expect([hub.size, clock.waiting]).toEqual([0, 0]);
});

test("a HEAD is refused: nobody would read its body, or let it go", () => {
	const { response, hub } = open({}, {}, { method: "HEAD" });
	expect([response.status, hub.size]).toEqual([400, 0]);
});

test("takes the cursor from the request", () => {
	const { feeds } = open({}, {}, { headers: { "Last-Event-ID": "1seen" } });
	expect(feeds[0]?.request.cursor).toBe("1seen");
});

test("a reader that does not read pushes back, and goes on where it stopped", async () => {
	const { response, sink } = open();
	const text = "x".repeat(10_000);
	for (let n = 0; n < 60; n += 1) {
		sink?.deliver(progress(n, text), `c${n}`);
		await turn();
	}
	sink?.deliver(progress(60), "c60");
	const reader = response.body?.getReader();
	let read = "";
	while (!read.includes("id: c60\n")) read += Buffer.from((await reader?.read())?.value ?? []).toString();
	expect(numbersIn(read)).toEqual(Array.from({ length: 61 }, (_, n) => n));
});

test("a reader that never reads is ended with slow-consumer", async () => {
	const { sink, stream } = open({}, { maxQueuedFrames: 20 });
	const text = "x".repeat(10_000);
	for (let n = 0; n < 60; n += 1) {
		sink?.deliver(progress(n, text), `c${n}`);
		await turn();
	}
	expect(await stream.closed).toBe("slow-consumer");
});

test("an aborted request and a cancelled body let the stream go", async () => {
	const controller = new AbortController();
	const aborted = open({}, {}, { signal: controller.signal });
	controller.abort();
	expect(await aborted.stream.closed).toBe("closed");
	await expect(aborted.response.text()).rejects.toThrow();

	const read = new AbortController();
	const { body } = open({}, {}, { signal: read.signal }).response;
	const reader = body?.getReader();
	await reader?.read();
	read.abort();
	await expect(reader?.read()).rejects.toThrow("let go");

	const cancelled = open();
	await cancelled.response.body?.cancel();
	cancelled.sink?.deliver(progress(1), "c1");
	expect(await cancelled.stream.closed).toBe("closed");
	expect([aborted.hub.size, cancelled.hub.size]).toEqual([0, 0]);

	const early = open({}, {}, { signal: AbortSignal.abort() });
	expect(await early.stream.closed).toBe("closed");
	expect([early.feeds[0]?.closes, early.hub.size, early.clock.waiting]).toEqual([1, 0, 0]);
});

test("refusals become responses", async () => {
	const { response, stream, feeds } = open({}, { maxStreams: 0 });
	expect(response.status).toBe(503);
	expect(await response.json()).toMatchObject({ error: "TooManyStreams" });
	expect(feeds).toHaveLength(0);
	await expect(stream.opened).rejects.toMatchObject({ code: "TooManyStreams" });
	expect(open({ filter: { methods: [""] } }).response.status).toBe(400);
});

test("[P7] after the close a stream that has ended sends the client on, with its own headers; who spells it gets a status", async () => {
	const { hub } = open();
	await hub.close();
	const request = new Request("http://localhost/");
	const options = { channels: [NEWS], retryMs: 7, headers: { "X-Own": "1" } };
	const response = openResponse(hub, request, options);
	expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
	const body = 'retry: 7\n\nevent: end\ndata: {"reason":"shutdown"}\n\n';
	expect([response.headers.get("x-own"), await response.text()]).toEqual(["1", body]);
	const proxied = new Request("http://localhost/", { headers: { "mcp-fanout-refuse": "status" } });
	const spelled = openResponse(hub, request, { ...options, encoding: { ...sseEncoding, end: () => "" } });
	for (const { status, headers } of [spelled, openResponse(hub, proxied, options)]) {
		expect([status, headers.get("retry-after")]).toEqual([503, "1"]);
	}
});

function connect(response: Response, takes?: number) {
	const outlet = scriptOutlet(takes);
	const leaving = leavingOf(response.body as ReadableStream<Uint8Array>);
	leaving?.leaveBy(outlet);
	return { said: outlet.said, outlet, leaving };
}

test("by a way out, what waits and each frame leave in the turn that brought them, and its end is the stream's", async () => {
	const { response, sink, stream, hub, clock } = open();
	sink?.deliver(progress(1), "c1");
	await turn();
	const { said, leaving } = connect(response);
	expect(said.join("")).toMatch(/^event: cursor\nid: c0\ndata: \n\nid: c1\n/);
	sink?.deliver(progress(2), "c2");
	expect(said.at(-1)).toMatch(/^id: c2\n/);
	sink?.end("moved");
	expect(said.slice(-2)).toEqual([expect.stringMatching(/event: end\n/), "ended"]);
	leaving?.cancel();
	expect(await stream.closed).toBe("moved");
	expect([hub.size, clock.waiting]).toEqual([0, 0]);
});

test("[P6] a way out that pushes back is waited for, in order; one that never takes more is let go", async () => {
	const { response, sink } = open();
	await turn();
	const { said, outlet, leaving } = connect(response, 1);
	for (let n = 0; n < 9; n += 1) sink?.deliver(progress(n), `c${n}`);
	await turn();
	expect(numbersIn(said.join(""))).toEqual([0]);
	outlet.takes = 100;
	leaving?.room();
	expect(numbersIn(said.join(""))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);

	const stalled = open({}, { maxQueuedFrames: 20 });
	await turn();
	const held = connect(stalled.response, 1);
	for (let n = 0; n < 30; n += 1) stalled.sink?.deliver(progress(n), `c${n}`);
	await stalled.clock.advance(60_000);
	expect(held.said.slice(-2)).toEqual(["ended", "failed: the stream was let go"]);
	held.leaving?.cancel();
	expect(await stalled.stream.closed).toBe("slow-consumer");
});

test("a way out that comes late hears that the stream has ended, or that it was let go", async () => {
	const ended = open();
	ended.sink?.end("moved");
	await turn();
	expect(connect(ended.response).said.join("")).toMatch(/event: end\n[^\n]*\n\nended$/);
	const controller = new AbortController();
	const aborted = open({}, {}, { signal: controller.signal });
	controller.abort();
	expect(connect(aborted.response).said).toEqual(["failed: the stream was let go"]);
});
