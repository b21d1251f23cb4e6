/** Held streams: leases, refusals, and that nothing stays open after them. */
import { describe, expect, it } from "vitest";
import { createFanout } from "../../../lambda/layer/src/fanout.ts";
import { streamify } from "../../../lambda/layer/src/lambda/index.ts";
import { invoke, lasting, withRuntime } from "./runtime.ts";
import { EVENTS, endless, event, LISTEN, POST, setup } from "./scene.ts";

describe("a held stream", () => {
	it.each([LISTEN, EVENTS])(
		"is held before the app is asked, and released before the invocation ends",
		async (which) => {
			const { handler, calls, errors } = setup(endless, { marginMs: 40 });
			const { stream, done } = invoke(handler, which, 60);
			await done;
			expect([stream.body, stream.isEnded, errors]).toEqual(["first", true, []]);
			expect(calls).toEqual(["hold", "fetch", "flush", "release", "rest"]);
		},
	);

	it("[P3] of a fanout ends with a reason when its lease is over", async () => {
		const fanout = await createFanout({ local: {}, follow: "held" });
		const app = { fetch: (request: Request) => fanout.response(request, { topics: ["t"] }) };
		const handler = withRuntime(() => streamify(app, { fanout, marginMs: 400, maxLeaseMs: 50 }));
		const { stream, done } = invoke(handler, EVENTS);
		await done;
		expect(stream.body).toMatch(/event: end\ndata: \{"reason":"shutdown"\}\n\n$/);
		expect(fanout.health()).toMatchObject({ streams: 0, lanes: 0 });
		await fanout.close();
	});

	it("is refused before any work when there is no room, and when there never is any", async () => {
		const { handler, calls } = setup(endless, { maxStreams: 1, marginMs: 40 });
		const first = invoke(handler, EVENTS);
		await new Promise((resolve) => setTimeout(resolve, 5));
		const second = invoke(handler, EVENTS);
		await second.done;
		expect(second.stream.head).toMatchObject({ statusCode: 503, headers: { "retry-after": "5" } });
		expect(calls.filter((call) => call === "hold" || call === "fetch")).toEqual(["hold", "fetch"]);
		first.stream.emit("close");
		await first.done;
		const third = invoke(handler, EVENTS, 80);
		await third.done;
		expect(third.stream.body).toBe("first");

		const none = setup(endless, { maxStreams: 0 });
		const [get, listen] = [invoke(none.handler, EVENTS), invoke(none.handler, LISTEN)];
		await Promise.all([get.done, listen.done]);
		expect(get.stream.head).toMatchObject({ statusCode: 405, headers: { allow: "POST" } });
		expect(listen.stream.head).toMatchObject({ statusCode: 501 });
		expect(JSON.parse(listen.stream.body)).toMatchObject({ jsonrpc: "2.0", error: { code: -32_000 } });
		expect(none.calls).toEqual(["flush", "flush", "rest"]);
	});

	it("is refused where answers are whole, whatever the runtime could", async () => {
		const options = { fanout: { flush: async () => {} } };
		const app = { fetch: () => new Response("never") };
		const handlers = [streamify(app, options), withRuntime(() => streamify(app, { ...options, buffered: true }))];
		for (const handler of handlers) {
			expect(await handler(LISTEN, lasting(30_000))).toMatchObject({ statusCode: 501 });
			expect(await handler(EVENTS, lasting(30_000))).toMatchObject({ statusCode: 405 });
		}
	});

	it("is refused when what it needs cannot be reached, and the error is told", async () => {
		const fanout = { flush: async () => {}, hold: () => Promise.reject(new Error("no connection")) };
		const { handler, calls, errors } = setup(endless, { fanout });
		const { stream, done } = invoke(handler, LISTEN);
		await done;
		expect(stream.head).toMatchObject({ statusCode: 503 });
		expect([calls, errors.length, errors[0]?.message]).toEqual([[], 1, expect.stringContaining("no connection")]);
	});

	it("[P3] [P7] of an MCP session is sent on where it cannot be held now: its client would never ask a third time", async () => {
		const fanout = { flush: async () => {}, hold: () => Promise.reject(new Error("no connection")) };
		const { handler } = setup(endless, { fanout, holds: () => true });
		const asked = { accept: "text/event-stream", "mcp-session-id": "s", "last-event-id": "1seen" };
		const answers = ["2025-11-25", "2025-06-18"].map((version) =>
			invoke(handler, event("GET", { ...asked, "mcp-protocol-version": version })),
		);
		await Promise.all(answers.map(({ done }) => done));
		const head = { statusCode: 200, headers: { "content-type": "text/event-stream" } };
		for (const { stream } of answers) expect(stream).toMatchObject({ head, isEnded: true });
		const cursor = "event: cursor\nid: 1seen\ndata: \n\n";
		expect(answers.map(({ stream }) => stream.body)).toEqual([`retry: 5000\n\n${cursor}`, "retry: 5000\n\n"]);
	});

	it("that is held only after the invocation gave up is released before it ends", async () => {
		const calls: string[] = [];
		const fanout = {
			flush: async () => {},
			hold: async () => {
				await new Promise((resolve) => setTimeout(resolve, 60));
				return { release: async () => void calls.push("release") };
			},
		};
		const { handler } = setup(endless, { fanout, marginMs: 2_960 });
		const { done } = invoke(handler, LISTEN, 3_000);
		await expect(done).rejects.toMatchObject({ code: "DeadlineExceeded" });
		expect(calls).toEqual(["release"]);
	});

	it("is none for MCP clients of the session era, nor for what the caller says", async () => {
		const session = setup(() => new Response(null, { status: 405 }));
		const get = event("GET", { accept: "text/event-stream", "mcp-protocol-version": "2025-11-25" });
		await invoke(session.handler, get).done;
		expect(session.calls).toEqual(["fetch", "flush", "rest"]);
		const own = setup(() => new Response("ok"), { holds: async (request) => request.method === "POST" });
		await Promise.all([invoke(own.handler, POST).done, invoke(own.handler, EVENTS).done]);
		expect(own.calls.filter((call) => call === "hold")).toHaveLength(1);
	});
});

describe("connections and starts", () => {
	it("keeps idle connections where it is told to, and while another invocation runs", async () => {
		const kept = setup(() => new Response("ok"), { keepConnections: true });
		await invoke(kept.handler, POST).done;
		expect(kept.calls).toEqual(["fetch", "flush"]);
		const busy = setup(endless, { marginMs: 40 });
		const long = invoke(busy.handler, EVENTS);
		await new Promise((resolve) => setTimeout(resolve, 5));
		await invoke(busy.handler, { ...EVENTS, headers: {} }, 41).done;
		expect(busy.calls).not.toContain("rest");
		long.stream.emit("close");
		await long.done;
		expect(busy.calls.at(-1)).toBe("rest");
	});

	it("starts with the first invocation, once, and again when that failed", async () => {
		let starts = 0;
		const start = async () => {
			starts += 1;
			if (starts === 1) throw new Error("not yet");
			return { app: { fetch: () => new Response("ok") }, fanout: { flush: async () => {} } };
		};
		const handler = withRuntime(() => streamify(start));
		await expect(invoke(handler, POST).done).rejects.toThrow("not yet");
		const both = [invoke(handler, POST), invoke(handler, POST)];
		await Promise.all(both.map(({ done }) => done));
		expect([both.map(({ stream }) => stream.body), starts]).toEqual([["ok", "ok"], 2]);
	});
});
